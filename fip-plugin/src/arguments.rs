//! What both daemons take on the command line.

use clap::Args;
use fip_core::Options;
use fip_core::kernel::Hold;
use fip_core::nat::Mark;

/// How bindings are made: see [`Options`].
#[derive(Debug, Clone, Args)]
pub struct Rules {
    /// The bit that marks our connections [default: the present table's, else 0x1000]
    #[arg(long, value_name = "BIT")]
    mark: Option<Mark>,
    /// Go on although iptables-legacy is in use, whose rules cannot be looked into
    #[arg(long)]
    allow_legacy_iptables: bool,
    /// Hold floating addresses as addresses of the link, or by local routes, of which any number
    /// costs nothing [default: as it is; else by routes where neighbours get an answer for these]
    #[arg(long, value_name = "address|route")]
    hold: Option<Hold>,
}

impl From<&Rules> for Options {
    fn from(rules: &Rules) -> Self {
        Self {
            mark: rules.mark,
            allow_legacy_iptables: rules.allow_legacy_iptables,
            hold: rules.hold,
        }
    }
}
