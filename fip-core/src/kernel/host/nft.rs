//! nf_tables over a blocking netlink socket: the table read into plain data, and transactions.

mod element;
mod foreign;
mod maps;
mod table;
mod wire;

use std::io;
use std::sync::Arc;

use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::diff::{Changes, TableChange};
use crate::error::{Error, Result};
use crate::kernel::{Commit, Counter};
use crate::nat::skeleton::Skeleton;
use crate::nat::{About, Elements, Family, Ruleset, Snapshot, TABLE, elements_about};
use crate::netns::NetNs;

use super::inside;
use super::message::Message;
use super::socket::Socket;
use table::{AnyChain, INET, NFTABLES, msg};

/// How often a reading that a change interrupted is begun again.
const ATTEMPTS: usize = 64;

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`, `NFNL_BATCH_GENID` (`linux/netfilter/nfnetlink.h`)
const BATCH_BEGIN: u8 = 16;
const BATCH_END: u8 = 17;
const BATCH_GENID: u16 = 1;

/// `NFT_TABLE_F_DORMANT` (`linux/netfilter/nf_tables.h`): the table's chains see no packet.
const DORMANT: u32 = 1;

/// The packet filter of one network namespace.
pub(super) struct NftSocket {
    netns: Option<NetNs>,
    socket: Socket,
    /// For searches, which may end before the kernel has told all.
    scout: Option<Socket>,
}

impl NftSocket {
    pub(super) fn open(netns: Option<&NetNs>) -> Result<Self> {
        let socket = inside(netns, open_socket)?;
        Ok(Self { netns: netns.cloned(), socket, scout: None })
    }

    /// See [`crate::kernel::Nft::snapshot`].
    pub(super) fn snapshot(&mut self) -> Result<Snapshot> {
        self.consistent(|this, skeleton| {
            Ok(this.dump_all(skeleton, element::read)?.into_iter().flatten().collect())
        })
    }

    /// See [`crate::kernel::Nft::snapshot_counted`].
    pub(super) fn snapshot_counted(&mut self) -> Result<(Snapshot, Vec<Counter>)> {
        let mut counters = Vec::new();
        let snapshot = self.consistent(|this, skeleton| {
            let lists = this.dump_all(skeleton, element::read_counted)?.into_iter();
            let (elements, counted): (Vec<_>, Vec<_>) = lists.unzip();
            counters = counted.into_iter().flatten().collect();
            Ok(elements.into_iter().flatten().collect())
        })?;
        Ok((snapshot, counters))
    }

    /// See [`crate::kernel::Nft::snapshot_about`].
    pub(super) fn snapshot_about(&mut self, about: &About) -> Result<Snapshot> {
        self.consistent(|this, _| elements_about(about, this))
    }

    fn consistent(
        &mut self,
        mut elements: impl FnMut(&mut Self, &Skeleton) -> io::Result<Elements>,
    ) -> Result<Snapshot> {
        for _ in 0..ATTEMPTS {
            let generation = self.generation()?;
            let snapshot = self.read(generation, &mut elements);
            // What vanished while it was read is a change like any other.
            let changed = self.generation()? != generation;
            match snapshot {
                _ if changed => {}
                Ok(snapshot) => return Ok(snapshot),
                Err(error) => return Err(Error::kernel("read the nf_tables ruleset", error)),
            }
        }
        Err(Error::Busy("the nf_tables ruleset changed each time it was read".to_owned()))
    }

    /// See [`crate::kernel::Nft::generation`].
    pub(super) fn generation(&mut self) -> Result<u32> {
        let request = Message::new(NFTABLES, msg::GETGEN, 0);
        // NFTA_GEN_ID
        match self.socket.get(request, |reply: Message| reply.attributes().be32(1)) {
            Ok(Some(generation)) => Ok(generation),
            Ok(None) => Err(Error::Busy("the kernel told no nf_tables generation".to_owned())),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Err(no_nf_tables()),
            Err(error) => Err(Error::kernel("read the nf_tables generation", error)),
        }
    }

    fn read(
        &mut self,
        generation: u32,
        elements: impl FnOnce(&mut Self, &Skeleton) -> io::Result<Elements>,
    ) -> io::Result<Snapshot> {
        let request = Message::new(NFTABLES, msg::GETCHAIN, 0);
        let chains = self.socket.dump(&request, |reply| table::read_chain(&reply))?;
        let skeleton = self.skeleton(&chains)?;
        let mark = skeleton.as_ref().and_then(Skeleton::mark).unwrap_or_default();
        let elements = match &skeleton {
            Some(skeleton) => elements(self, skeleton)?,
            None => Elements::new(),
        };
        let (passes, foreign) = self.foreign(&chains, mark)?;
        // A skeleton is compared whole; the order in which the kernel lists it means nothing.
        let skeleton = skeleton.map(|skeleton| {
            let known = Skeleton::new(mark);
            if known.is_like(&skeleton) { known } else { skeleton }
        });
        Ok(Snapshot { generation, ruleset: Ruleset { skeleton, elements, passes }, foreign })
    }

    fn skeleton(&mut self, chains: &[AnyChain]) -> io::Result<Option<Skeleton>> {
        let request = table::message(msg::GETTABLE, INET, TABLE);
        // NFTA_TABLE_FLAGS
        let flags = |reply: Message| Some(reply.attributes().be32(2).unwrap_or(0));
        let Some(flags) = self.socket.get(request, flags)? else { return Ok(None) };
        let request = table::message(msg::GETSET, INET, TABLE);
        let sets = self.socket.dump(&request, |reply| table::read_set(&reply))?;
        let ours = chains.iter().filter(|chain| chain.family == INET && chain.table == TABLE);
        let mut chains: Vec<_> = ours.map(table::our_chain).collect();
        if flags & DORMANT != 0 {
            chains.iter_mut().for_each(|chain| chain.hook = None);
        }
        let request = table::message(msg::GETRULE, INET, TABLE);
        for any in self.socket.dump(&request, |reply| table::read_rule(&reply))? {
            if let Some(chain) = chains.iter_mut().find(|chain| chain.name == any.chain) {
                chain.rules.push(any.rule);
            }
        }
        Ok(Some(Skeleton { sets: Arc::new(sets), chains: Arc::new(chains) }))
    }

    /// What the messages hold that tell the elements of all sets.
    fn dump_all<R>(
        &mut self,
        skeleton: &Skeleton,
        read: fn(&str, &Message) -> R,
    ) -> io::Result<Vec<R>> {
        let mut all = Vec::new();
        for set in skeleton.sets.iter() {
            all.append(&mut self.dump_set(&set.name, read)?);
        }
        Ok(all)
    }

    fn dump_set<R>(&mut self, set: &str, read: fn(&str, &Message) -> R) -> io::Result<Vec<R>> {
        // NFTA_SET_ELEM_LIST_SET
        let request = table::message(msg::GETSETELEM, INET, TABLE).with(|w| _ = w.text(2, set));
        self.socket.dump(&request, |reply| Some(read(set, &reply)))
    }

    /// See [`crate::kernel::Nft::counters`].
    pub(super) fn counters(&mut self) -> Result<Vec<Counter>> {
        let mut counters = Vec::new();
        for family in Family::ALL {
            for set in [family.dnat(), family.port()] {
                match self.dump_set(set, element::read_counters) {
                    Ok(lists) => counters.extend(lists.into_iter().flatten()),
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                    Err(error) => return Err(Error::kernel("read the counters", error)),
                }
            }
        }
        Ok(counters)
    }

    /// See [`crate::kernel::Nft::commit`].
    pub(super) fn commit(&mut self, changes: &Changes, generation: u32) -> Result<Commit> {
        if changes.is_empty() {
            // The kernel would take note of nothing and, before Linux 6.10, answer nothing.
            let current = self.generation()? == generation;
            return Ok(if current { Commit::Done } else { Commit::Stale });
        }
        let outcome = match self.transact(changes, generation) {
            Err(error) if error.raw_os_error() == Some(libc::ENFILE) => {
                let Some(anew) = self.anew(changes, generation)? else { return Ok(Commit::Stale) };
                self.transact(&anew, generation)
            }
            outcome => outcome,
        };
        match outcome {
            Ok(()) => Ok(Commit::Done),
            Err(error) if error.raw_os_error() == Some(libc::ERESTART) => Ok(Commit::Stale),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Err(no_nf_tables()),
            Err(error) => Err(Error::kernel("change the nf_tables ruleset", error)),
        }
    }

    fn transact(&mut self, changes: &Changes, generation: u32) -> io::Result<()> {
        let control = |kind| Message::new(0, kind, 0).with_resource(NFTABLES);
        let begin = control(BATCH_BEGIN).with(|w| _ = w.be32(BATCH_GENID, generation));
        let mut messages = vec![(begin, 0)];
        messages.extend(table::encode(changes));
        messages.push((control(BATCH_END), 0));
        self.socket.transaction(messages)
    }

    /// The same changes where one of the sets is full: with the table made anew, by which its sets
    /// get room for what is there and for what comes. None if the ruleset has changed.
    fn anew(&mut self, changes: &Changes, generation: u32) -> Result<Option<Changes>> {
        let Snapshot { generation: current, mut ruleset, .. } = self.snapshot()?;
        changes.apply(&mut ruleset);
        let table = ruleset.skeleton.map(TableChange::Replace);
        let (add, passes) = (ruleset.elements.into_iter().collect(), changes.passes.clone());
        let anew = Changes { table, remove: Vec::new(), add, passes };
        Ok((current == generation).then_some(anew))
    }
}

fn open_socket() -> Result<Socket> {
    match Socket::open(NETLINK_NETFILTER) {
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => Err(no_nf_tables()),
        other => other.map_err(|error| Error::kernel("open a netfilter netlink socket", error)),
    }
}

fn no_nf_tables() -> Error {
    Error::Unsupported {
        what: "this kernel has no nf_tables".to_owned(),
        hint: "use a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET and CONFIG_NFT_NAT (5.7 or newer), or load the module: modprobe nf_tables".to_owned(),
    }
}

#[cfg(test)]
mod tests;
