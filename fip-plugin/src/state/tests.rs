use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fip-state-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn store(&self) -> Store {
        Store::open(&self.0).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn network() -> NetworkRecord {
    let options = serde_json::json!({"com.docker.network.generic": {"fip.uplink": "eth0"}});
    NetworkRecord {
        id: "n1".parse().unwrap(),
        gateways: vec!["172.18.0.1/16".parse().unwrap(), "2001:db8::1/64".parse().unwrap()],
        options: options.as_object().unwrap().clone(),
    }
}

fn endpoint() -> EndpointRecord {
    let sandbox = "/var/run/docker/netns/6a8481cf87a2".into();
    EndpointRecord {
        id: "e1".parse().unwrap(),
        network: "n1".parse().unwrap(),
        addresses: vec!["172.18.0.2/16".parse().unwrap()],
        mac: "02:42:ac:12:00:02".to_owned(),
        mac_given: false,
        options: Options::new(),
        joined: Some(Joined { sandbox, label: Label::Floating("192.168.99.200".to_owned()) }),
    }
}

#[test]
fn what_is_kept_is_found_again_until_it_is_removed() {
    let dir = Directory::new("again");
    let store = dir.store();
    store.save_network(&network()).unwrap();
    store.save_endpoint(&endpoint()).unwrap();
    drop(store);

    let store = dir.store();
    assert_eq!(store.load().unwrap(), (vec![network()], vec![endpoint()]));
    let parted = EndpointRecord { joined: None, ..endpoint() };
    store.save_endpoint(&parted).unwrap();
    assert_eq!(store.load().unwrap().1, [parted]);

    for _ in 0..2 {
        store.remove_network(&network().id).unwrap();
        store.remove_endpoint(&endpoint().id).unwrap();
        assert_eq!(store.load().unwrap(), (vec![], vec![]));
    }
}

#[test]
fn only_the_owner_reads_it() {
    let dir = Directory::new("mode");
    let store = dir.store();
    store.save_endpoint(&endpoint()).unwrap();
    let mode = |path: &str| fs::metadata(dir.0.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("endpoints"), mode("endpoints/e1.json")), (0o700, 0o600));
}

#[test]
fn one_at_a_time_has_the_directory() {
    let dir = Directory::new("lock");
    let store = dir.store();
    let error = Store::open(&dir.0).unwrap_err().to_string();
    assert!(error.contains("in use by another fip-plugin"), "{error}");
    drop(store);
    dir.store();
}

#[test]
fn what_cannot_be_read_is_left_out_and_left_there() {
    let dir = Directory::new("torn");
    let store = dir.store();
    store.save_network(&network()).unwrap();
    let torn = dir.0.join("networks/n2.json");
    fs::write(&torn, r#"{"id":"n2","gatew"#).unwrap();
    // One that was being written when the power failed.
    fs::write(dir.0.join("networks/n3.new"), "").unwrap();
    assert_eq!(store.load().unwrap().0, [network()]);
    assert!(torn.exists());
}

#[test]
fn a_directory_that_cannot_be_had_is_named() {
    let dir = Directory::new("file");
    fs::write(&dir.0, "").unwrap();
    let error = Store::open(&dir.0).unwrap_err().to_string();
    assert!(error.contains(&dir.0.display().to_string()), "{error}");
    fs::remove_file(&dir.0).unwrap();
}
