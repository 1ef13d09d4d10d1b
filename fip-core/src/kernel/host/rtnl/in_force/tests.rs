use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::super::open;
use super::*;
use crate::kernel::Hold;

fn ip(args: &str) {
    let status = Command::new("ip").args(args.split(' ')).status().unwrap();
    assert!(status.success(), "ip {args}");
}

#[test]
fn an_address_that_was_added_is_in_force() {
    let host = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link add index 7 name near type veth peer name far");
        ip("link set near up");
        let mut rtnl = open(None).unwrap();
        for number in 1..=100 {
            let address: IpAddr = [0x2001, 0xdb8, 0, 0, 0, 0, 0, number].into();
            let (network, hold) = (address.into(), Hold::Address);
            let add = AddressChange::Add(Address { link: 7, network, ours: true, hold });
            let results = rtnl.change_addresses(&[add]).unwrap();
            assert!(results[0].is_ok());
            assert!(rtnl.takes(7, address).unwrap(), "{address}");
        }
    });
    host.join().unwrap();
}

/// Between a look and the clock anything may pass, the deadline too.
#[test]
fn who_is_held_up_looks_once_more() {
    let deadline = Instant::now() + PAUSE;
    let mut looks = 0;
    let found = comes_true(deadline, || {
        looks += 1;
        thread::sleep(PAUSE * 2);
        Ok(looks == 2)
    });
    assert!(found.unwrap());
    assert!(!comes_true(deadline, || Ok(false)).unwrap());
}
