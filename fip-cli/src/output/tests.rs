use fip_core::Binding;
use fip_core::kernel::Hold;

use super::*;

fn status(floating: &str, fixed: &str, ports: &[&str], problems: &[&str]) -> Status {
    let binding = Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap();
    let ports = ports.iter().map(|port| port.parse().unwrap());
    Status {
        binding: binding.with_ports(ports).on("eth0".parse().unwrap()),
        hold: Some(Hold::Route),
        problems: problems.iter().map(|&problem| problem.to_owned()).collect(),
        packets: 12,
        bytes: 3456,
    }
}

#[test]
fn the_table_is_aligned_and_names_problems_below() {
    let statuses = [
        status("192.0.2.1", "172.18.0.2", &[], &[]),
        status("2001:db8::200", "2001:db8:18::2", &["tcp:80:8080", "udp:53"], &["eth0 is down"]),
    ];
    let rows: Vec<Row<'_>> = statuses.iter().map(row).collect();
    let expected = "\
FLOATING       FIXED           INTERFACE  OWNER  PORTS               EGRESS  STATE     PACKETS  BYTES
192.0.2.1      172.18.0.2      eth0       cli    all                 yes     active    12       3456
2001:db8::200  2001:db8:18::2  eth0       cli    tcp:80:8080,udp:53  no      degraded  12       3456
  eth0 is down
";
    assert_eq!(table(&rows), expected);
}

#[test]
fn json_has_the_promised_fields() {
    let well = status("192.0.2.1", "172.18.0.2", &["tcp:80:8080"], &[]);
    assert_eq!(
        serde_json::to_string(&row(&well)).unwrap(),
        r#"{"floating":"192.0.2.1","fixed":"172.18.0.2","interface":"eth0","hold":"route","owner":"cli","#
            .to_owned()
            + r#""ports":[{"protocol":"tcp","port":80,"fixed_port":8080}],"egress":false,"#
            + r#""state":"active","packets":12,"bytes":3456}"#
    );
    let ill = status("192.0.2.1", "172.18.0.2", &[], &["eth0 is down"]);
    let json = serde_json::to_value(row(&ill)).unwrap();
    assert_eq!(json["state"], "degraded");
    assert_eq!(json["problems"][0], "eth0 is down");
    assert_eq!(json["egress"], true);
}

#[test]
fn an_address_without_a_binding_is_a_row_too() {
    let strays = [("192.0.2.9".parse().unwrap(), "eth0".parse().unwrap())];
    let rows: Vec<Row<'_>> = strays.iter().map(stray).collect();
    let expected = "\
FLOATING   FIXED  INTERFACE  OWNER  PORTS  EGRESS  STATE     PACKETS  BYTES
192.0.2.9  -      eth0       -      -      no      degraded  0        0
  not bound: `fip unbind 192.0.2.9` removes it
";
    assert_eq!(table(&rows), expected);
    assert_eq!(
        serde_json::to_string(&rows).unwrap(),
        r#"[{"floating":"192.0.2.9","fixed":null,"interface":"eth0","hold":null,"owner":null,"ports":[],"#
            .to_owned()
            + r#""egress":false,"state":"degraded","#
            + r#""problems":["not bound: `fip unbind 192.0.2.9` removes it"],"#
            + r#""packets":0,"bytes":0}]"#
    );
}

#[test]
fn milliseconds_have_three_decimals() {
    assert_eq!(milliseconds(Duration::from_nanos(1_234_567)).to_string(), "1.235");
    assert_eq!(milliseconds(Duration::ZERO).to_string(), "0");
}
