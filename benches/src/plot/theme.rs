//! Colours, told apart also by people who see no red or no green, on white and on dark pages.

use plotters::style::RGBColor;

/// Who a line or bar is for. The same one has the same colour in all pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Ours.
    Fip,
    /// What the kernel takes, with nothing around it.
    Limit,
    Iptables,
    Nft,
    Docker,
    Netavark,
    Keepalived,
    /// Scripts of `ip`, `arping` and the like.
    Shell,
}

/// Text that matters: exchanged for a light one on a dark page.
pub(super) const TEXT: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// Text beside it, and axes.
pub(super) const FAINT: RGBColor = RGBColor(0x59, 0x63, 0x6e);
/// The grid.
pub(super) const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);

/// What a dark page changes. Only these have two colours; the others do on both.
pub(super) const STYLE: &str = "<style>
text { font-family: -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif }
@media (prefers-color-scheme: dark) {
  [fill='#1F2328'] { fill: #F0F6FC }
  [fill='#59636E'] { fill: #9198A1 }
  [stroke='#59636E'] { stroke: #9198A1 }
  [stroke='#D8DEE4'] { stroke: #2A313A }
}
</style>
";

impl Who {
    pub(super) fn color(self) -> RGBColor {
        match self {
            Self::Fip => RGBColor(0x1f, 0x77, 0xeb),
            Self::Limit => RGBColor(0x84, 0x8d, 0x97),
            Self::Iptables => RGBColor(0xd5, 0x5e, 0x00),
            Self::Nft => RGBColor(0x00, 0x95, 0x6d),
            Self::Docker => RGBColor(0xb8, 0x5c, 0xa5),
            Self::Netavark => RGBColor(0x8f, 0x76, 0x00),
            Self::Keepalived => RGBColor(0xc2, 0x41, 0x4b),
            Self::Shell => RGBColor(0xa0, 0x6a, 0x3c),
        }
    }
}
