//! What others do to the ruleset, and what it looks like.

use std::sync::Arc;

use crate::nat::{Family, Foreign, Key, Mark, Ruleset, Value};

use super::FakeKernel;
use super::ruleset::{Filter, Kind};

impl FakeKernel {
    /// Changes the ruleset as somebody else would: in one transaction.
    fn meddle(&self, change: impl FnOnce(&mut Filter)) {
        self.interfere(|namespace| {
            change(&mut namespace.filter);
            namespace.filter.next_generation();
            namespace.ruleset_changed += 1;
        });
    }

    /// Our part of the ruleset.
    pub fn ruleset(&self) -> Ruleset {
        self.look(|namespace| namespace.filter.snapshot().ruleset)
    }

    /// A change of a table that is nobody's concern here.
    pub fn touch_ruleset(&self) {
        self.meddle(|_| {});
    }

    /// `nft flush ruleset`: no table is left, ours or others'.
    pub fn flush_ruleset(&self) {
        self.meddle(|filter| {
            *filter = Filter { generation: filter.generation, ..Filter::default() };
        });
    }

    /// `nft delete table inet fip`.
    pub fn delete_table(&self) {
        self.meddle(|filter| {
            filter.skeleton = None;
            filter.elements.clear();
        });
    }

    /// `nft flush chain inet fip sources`: our table is not what it should be.
    pub fn damage_table(&self) {
        self.meddle(|filter| {
            let skeletons = filter.skeleton.iter_mut();
            let chains = skeletons.flat_map(|skeleton| Arc::make_mut(&mut skeleton.chains));
            chains.filter(|chain| chain.name == "sources").for_each(|chain| chain.rules.clear());
        });
    }

    /// Adds an element to our table, or changes it.
    pub fn set_element(&self, key: Key, value: Value) {
        self.meddle(|filter| _ = filter.elements.insert(key, value));
    }

    /// Deletes an element of our table.
    pub fn remove_element(&self, key: &Key) {
        self.meddle(|filter| _ = filter.elements.remove(key));
    }

    /// Makes Docker's chain for users' rules (`DOCKER-USER` of the table `filter`).
    pub fn add_user_chain(&self, family: Family) {
        self.meddle(|filter| _ = filter.user_chains.entry(family).or_default());
    }

    /// Adds a rule at the end of that chain, that decides about some packets.
    pub fn add_user_rule(&self, family: Family) {
        self.meddle(|filter| filter.add_user_rule(family, Kind::User));
    }

    /// Adds a `RETURN` at the end of that chain, as dockerd up to version 27 does.
    pub fn add_user_return(&self, family: Family) {
        self.meddle(|filter| filter.add_user_rule(family, Kind::Return));
    }

    /// Adds our rule at the end of that chain, as somebody would who copies it.
    pub fn add_pass_rule(&self, family: Family, mark: Mark) {
        self.meddle(|filter| filter.add_user_rule(family, Kind::Ours(mark)));
    }

    /// Says what other rulesets do to forwarded packets.
    pub fn set_foreign(&self, foreign: Foreign) {
        self.meddle(|filter| filter.foreign = foreign);
    }

    /// Lets packets, of so many bytes in all, arrive for the floating address of an element.
    pub fn count(&self, key: &Key, packets: u64, bytes: u64) {
        self.interfere(|namespace| {
            let counted = namespace.filter.counted.entry(key.clone()).or_default();
            *counted = (counted.0 + packets, counted.1 + bytes);
        });
    }

    /// Says which tables of the legacy iptables are in use, as `filter`.
    pub fn set_legacy_tables(&self, tables: &[&str]) {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        self.interfere(|namespace| namespace.legacy_tables = tables);
    }
}
