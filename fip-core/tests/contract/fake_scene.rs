//! The scene in memory.

use fip_core::kernel::fake::FakeKernel;
use fip_core::kernel::{Deed, Hold, Kernel, Mac, Sighting};
use fip_core::nat::{Family, Key};
use fip_core::netns::NetNs;
use ipnetwork::IpNetwork;

use super::scene::{Scene, Way, destination, name, packet};

/// In memory.
pub(crate) struct FakeScene(FakeKernel);

impl FakeScene {
    pub(crate) fn new() -> Self {
        Self(FakeKernel::new())
    }
}

const RIVAL: Mac = Mac([2, 0, 0, 0, 0, 0x99]);

impl Scene for FakeScene {
    type Kernel = FakeKernel;

    fn open(&self) -> FakeKernel {
        self.0.clone()
    }

    fn other_namespace(&self) -> NetNs {
        let netns = "other".parse().unwrap();
        let _ = self.0.namespace(&netns);
        netns
    }

    fn add_address(&self, link: &str, network: &str) {
        self.0.add_address(&name(link), network.parse().unwrap()).unwrap();
    }

    fn remove_address(&self, link: &str, network: &str) {
        let (link, network) = (name(link), network.parse::<IpNetwork>().unwrap());
        let all = self.0.addresses_of(&link).unwrap();
        if all.iter().any(|held| held.network == network && held.hold == Hold::Route) {
            self.0.remove_local_route(&link, network.ip()).unwrap();
        } else {
            self.0.remove_address(&link, network).unwrap();
        }
    }

    fn add_local_route(&self, link: &str, address: &str) {
        self.0.add_local_route(&name(link), address.parse().unwrap()).unwrap();
    }

    fn remove_local_route(&self, link: &str, address: &str) {
        self.0.remove_local_route(&name(link), address.parse().unwrap()).unwrap();
    }

    fn answers(&self, address: &str) -> bool {
        self.0.answers(&name("eth0"), address.parse().unwrap()).unwrap()
    }

    fn set_up(&self, link: &str, up: bool) {
        self.0.set_up(&name(link), up).unwrap();
    }

    fn move_link(&self, link: &str, way: Way) -> Result<(), String> {
        let there = self.0.in_netns(&self.other_namespace()).unwrap();
        let (from, to) = if way == Way::Away { (&self.0, &there) } else { (&there, &self.0) };
        from.move_link(&name(link), to).map_err(|error| error.to_string())
    }

    fn rename_link(&self, link: &str, new: &str) -> Result<(), String> {
        self.0.rename_link(&name(link), &name(new)).map_err(|error| error.to_string())
    }

    fn plug(&self, plugged: bool) {
        self.0.set_running(&name("eth0"), plugged).unwrap();
    }

    fn rival(&self, address: &str) -> Mac {
        self.0.rival(address.parse().unwrap(), RIVAL);
        RIVAL
    }

    fn silence(&self, address: &str) {
        self.0.silence(address.parse().unwrap());
    }

    fn claim(&self, address: &str) -> Mac {
        let link = self.0.link(&name("eth0")).unwrap().index;
        let address = address.parse().unwrap();
        self.0.hear(Sighting { link, address, mac: RIVAL, deed: Deed::Holds });
        RIVAL
    }

    fn probe(&self, address: &str) -> Mac {
        let link = self.0.link(&name("eth0")).unwrap().index;
        let address = address.parse().unwrap();
        self.0.hear(Sighting { link, address, mac: RIVAL, deed: Deed::Probes });
        RIVAL
    }

    fn receive(&self, key: &Key, packets: u64) {
        let (floating, _) = destination(key);
        self.0.count(key, packets, packets * packet(Family::of(floating)));
    }

    fn touch_ruleset(&self) {
        self.0.touch_ruleset();
    }

    fn flush_ruleset(&self) {
        self.0.flush_ruleset();
    }

    fn delete_table(&self) {
        self.0.delete_table();
    }

    fn damage_table(&self) {
        self.0.damage_table();
    }

    fn add_user_chain(&self, family: Family) {
        self.0.add_user_chain(family);
    }

    fn add_user_rule(&self, family: Family) {
        self.0.add_user_rule(family);
    }

    fn add_user_return(&self, family: Family) {
        self.0.add_user_return(family);
    }
}
