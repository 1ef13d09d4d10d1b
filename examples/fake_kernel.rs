//! An embedder's own code and its tests, which need no root: `FakeKernel` (feature `fake`) is a
//! kernel in memory.
//!
//! `cargo test -p fip-core --features fake --example fake_kernel`

use std::net::IpAddr;

use fip_core::fip::BindOptions;
use fip_core::kernel::Kernel;
use fip_core::kernel::fake::FakeKernel;
use fip_core::{Binding, FloatingIps, Options, Result};

/// A service with one floating address and several workloads, of which one at a time has it.
/// Generic over the kernel: `FloatingIps<Host>` in the product, `FloatingIps<FakeKernel>` in tests.
struct Service<K> {
    fips: FloatingIps<K>,
    floating: IpAddr,
}

impl<K: Kernel> Service<K> {
    /// Gives the floating address to this workload.
    fn switch_to(&mut self, fixed: IpAddr) -> Result<()> {
        let options = BindOptions { replace: true, ..BindOptions::default() };
        self.fips.bind_with(&Binding::new(self.floating, fixed)?, &options)?;
        Ok(())
    }

    /// The workload that has it.
    fn active(&mut self) -> Result<Option<IpAddr>> {
        Ok(self.fips.list()?.first().map(|status| status.binding.fixed()))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fips = FloatingIps::new(FakeKernel::new(), Options::default());
    let mut service = Service { fips, floating: "192.0.2.20".parse()? };
    for fixed in ["172.18.0.2", "172.18.0.3"] {
        service.switch_to(fixed.parse()?)?;
        if let Some(active) = service.active()? {
            println!("{} -> {active}", service.floating);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use fip_core::kernel::Mac;

    use super::*;

    fn service(kernel: &FakeKernel) -> Service<FakeKernel> {
        let fips = FloatingIps::new(kernel.clone(), Options::default());
        Service { fips, floating: "192.0.2.20".parse().unwrap() }
    }

    fn workloads() -> [IpAddr; 2] {
        ["172.18.0.2", "172.18.0.3"].map(|text| text.parse().unwrap())
    }

    #[test]
    fn a_switch_forgets_the_flows_of_the_former_workload() {
        let kernel = FakeKernel::new();
        let mut service = service(&kernel);
        let [blue, green] = workloads();
        service.switch_to(blue).unwrap();
        assert_eq!(kernel.announced(), [("eth0".parse().unwrap(), service.floating)]);
        let before = kernel.forgotten().len();
        service.switch_to(green).unwrap();
        assert_eq!(service.active().unwrap(), Some(green));
        assert!(kernel.forgotten().len() > before);
    }

    #[test]
    fn an_address_in_use_is_left_alone() {
        let kernel = FakeKernel::new();
        let mut service = service(&kernel);
        kernel.rival(service.floating, Mac([2, 0, 0, 0, 0, 9]));
        assert!(service.switch_to(workloads()[0]).unwrap_err().is_conflict());
        assert_eq!(service.active().unwrap(), None);
    }

    #[test]
    fn whatever_step_fails_the_next_try_succeeds() {
        let [blue, green] = workloads();
        for steps in 0.. {
            let kernel = FakeKernel::new();
            let mut service = service(&kernel);
            kernel.fail_after(steps);
            let outcome = service.switch_to(blue).and_then(|()| service.switch_to(green));
            let failed = kernel.recover();
            assert_eq!(outcome.is_err(), failed);
            service.switch_to(green).unwrap();
            assert_eq!(service.active().unwrap(), Some(green));
            if !failed {
                assert!(steps > 0);
                break;
            }
        }
    }

    #[test]
    fn main_runs() {
        main().unwrap();
    }
}
