//! What the kernel itself takes for floating addresses: the messages and nothing around them.
//!
//! Two elements in one nf_tables transaction, then the address or a `local` route to it. Nothing is
//! looked up, checked, or asked before. The maps `dnat4` and `snat4` of the table `ip bench` must be
//! there.

// A measurement that fails ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod message;
mod socket;

use std::net::Ipv4Addr;
use std::time::Instant;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockProtocol;
use serde_json::{Value, json};

use message::{Change, address, local_route, transaction};
use socket::Netlink;

/// How many addresses or routes go into one call.
const AT_ONCE: usize = 128;

const USAGE: &str = "\
limit bind|unbind LINK FLOATING FIXED address|route   one binding, by a process of its own
limit loop LINK FLOATING FIXED COUNT                  so many times both; medians of each step in us
limit replace FLOATING FIXED OTHER COUNT              another fixed address, to and fro; median in us
limit bulk LINK FLOATING FIXED COUNT                  so many at once; each step in ms";

/// What a floating address is on the host.
#[derive(Clone, Copy)]
enum Hold {
    Address,
    Route,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["bind", link, floating, fixed, hold] => {
            let mut binding = Binding::new(link, ip(floating), ip(fixed));
            binding.maps(Change::Add);
            binding.hold(held(hold), Change::Add);
        }
        ["unbind", link, floating, fixed, hold] => {
            let mut binding = Binding::new(link, ip(floating), ip(fixed));
            binding.hold(held(hold), Change::Remove);
            binding.maps(Change::Remove);
        }
        ["loop", link, floating, fixed, count] => {
            println!("{}", Binding::new(link, ip(floating), ip(fixed)).cycle(number(count)));
        }
        ["replace", floating, fixed, other, count] => {
            replace(ip(floating), ip(fixed), ip(other), number(count));
        }
        ["bulk", link, floating, fixed, count] => {
            bulk(link, ip(floating), ip(fixed), number(count))
        }
        _ => panic!("{USAGE}"),
    }
}

fn ip(word: &str) -> Ipv4Addr {
    word.parse().unwrap_or_else(|_| panic!("{word} is no IPv4 address"))
}

fn number(word: &str) -> usize {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn held(word: &str) -> Hold {
    match word {
        "address" => Hold::Address,
        "route" => Hold::Route,
        _ => panic!("{USAGE}"),
    }
}

/// One binding, with its messages ready.
struct Binding {
    nft: Netlink,
    route: Netlink,
    maps: [Vec<u8>; 2],
    held: [[Vec<u8>; 2]; 2],
}

impl Binding {
    fn new(link: &str, floating: Ipv4Addr, fixed: Ipv4Addr) -> Self {
        let link = index(link);
        let both = [Change::Add, Change::Remove];
        Self {
            nft: Netlink::open(SockProtocol::NetlinkNetFilter),
            route: Netlink::open(SockProtocol::NetlinkRoute),
            maps: both.map(|change| transaction(&pairs(change, &[(floating, fixed)]))),
            held: [
                both.map(|change| address(link, floating, change, true)),
                both.map(|change| local_route(link, floating, change, true)),
            ],
        }
    }

    fn maps(&mut self, change: Change) {
        self.nft.call(&self.maps[change as usize]);
    }

    fn hold(&mut self, hold: Hold, change: Change) {
        self.route.call(&self.held[hold as usize][change as usize]);
    }

    fn cycle(&mut self, count: usize) -> Value {
        let mut steps: [[Vec<f64>; 6]; 2] = Default::default();
        for _ in 0..count {
            for hold in [Hold::Address, Hold::Route] {
                let took = &mut steps[hold as usize];
                let began = Instant::now();
                self.maps(Change::Add);
                took[0].push(us(began));
                let second = Instant::now();
                self.hold(hold, Change::Add);
                took[1].push(us(second));
                took[2].push(us(began));
                let began = Instant::now();
                self.hold(hold, Change::Remove);
                took[3].push(us(began));
                let second = Instant::now();
                self.maps(Change::Remove);
                took[4].push(us(second));
                took[5].push(us(began));
            }
        }
        let [address, route] = steps.map(|steps| {
            let [maps_add, add, bind, remove, maps_remove, unbind] = steps.map(median);
            json!({
                "maps_add": maps_add, "add": add, "bind": bind,
                "remove": remove, "maps_remove": maps_remove, "unbind": unbind,
            })
        });
        json!({ "address": address, "route": route })
    }
}

fn replace(floating: Ipv4Addr, fixed: Ipv4Addr, other: Ipv4Addr, count: usize) {
    let mut nft = Netlink::open(SockProtocol::NetlinkNetFilter);
    let to = |from, to| {
        let mut changes = pairs(Change::Remove, &[(floating, from)]);
        changes.extend(pairs(Change::Add, &[(floating, to)]));
        transaction(&changes)
    };
    let ways = [to(fixed, other), to(other, fixed)];
    let times = (0..count * 2).map(|n| {
        let began = Instant::now();
        nft.call(&ways[n % 2]);
        us(began)
    });
    println!("{}", json!({ "replace": median(times.collect()) }));
}

fn bulk(link: &str, floating: Ipv4Addr, fixed: Ipv4Addr, count: usize) {
    let link = index(link);
    let nth = |first: Ipv4Addr, n: usize| Ipv4Addr::from_bits(first.to_bits() + n as u32);
    let all: Vec<_> = (0..count).map(|n| (nth(floating, n), nth(fixed, n))).collect();
    let maps = transaction(&pairs(Change::Add, &all));
    let mut nft = Netlink::open(SockProtocol::NetlinkNetFilter);
    let mut route = Netlink::open(SockProtocol::NetlinkRoute);
    nft.make_room(maps.len());
    let began = Instant::now();
    nft.call(&maps);
    let maps = us(began) / 1e3;
    let mut timed = |one: Held, change| {
        let calls: Vec<Vec<u8>> = all
            .chunks(AT_ONCE)
            .map(|chunk| {
                let last = chunk.len() - 1;
                let each = chunk.iter().enumerate();
                each.flat_map(|(n, pair)| one(link, pair.0, change, n == last)).collect()
            })
            .collect();
        let began = Instant::now();
        calls.iter().for_each(|call| route.call(call));
        us(began) / 1e3
    };
    let routes = timed(local_route, Change::Add);
    let routes_gone = timed(local_route, Change::Remove);
    let addresses = timed(address, Change::Add);
    let addresses_gone = timed(address, Change::Remove);
    println!(
        "{}",
        json!({
            "maps": maps,
            "routes": routes, "routes_gone": routes_gone,
            "addresses": addresses, "addresses_gone": addresses_gone,
        })
    );
}

type Held = fn(u32, Ipv4Addr, Change, bool) -> Vec<u8>;

/// What the maps have for these bindings: there by one, back by the other.
fn pairs(change: Change, all: &[(Ipv4Addr, Ipv4Addr)]) -> Vec<message::Elements> {
    let back = all.iter().map(|&(floating, fixed)| (fixed, floating)).collect();
    vec![
        message::Elements { map: "dnat4", change, pairs: all.to_vec() },
        message::Elements { map: "snat4", change, pairs: back },
    ]
}

fn index(link: &str) -> u32 {
    if_nametoindex(link).unwrap_or_else(|error| panic!("no link {link}: {error}"))
}

fn us(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
