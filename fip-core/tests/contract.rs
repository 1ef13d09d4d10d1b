//! What both kernels must do alike: the real one, in a namespace, and the one in memory. Where
//! they differ, the one in memory is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

mod contract {
    pub(crate) mod addresses;
    pub(crate) mod bindings;
    pub(crate) mod bridge_rules;
    pub(crate) mod bridges;
    pub(crate) mod challenges;
    pub(crate) mod counters;
    pub(crate) mod each;
    pub(crate) mod fake_scene;
    pub(crate) mod held;
    pub(crate) mod holding;
    pub(crate) mod host_scene;
    pub(crate) mod links;
    pub(crate) mod monitor;
    pub(crate) mod narrow;
    pub(crate) mod policy;
    pub(crate) mod privilege;
    pub(crate) mod random;
    pub(crate) mod routes;
    pub(crate) mod rules;
    pub(crate) mod scene;
    pub(crate) mod wire;
}

use contract::scene::{FakeScene, HostScene};

/// Runs each of these on both kernels.
macro_rules! on_both {
    ($($area:ident: $($name:ident)+;)+) => {
        mod fake {
            $(mod $area {
                $(#[test]
                fn $name() {
                    crate::contract::$area::$name(&crate::FakeScene::new());
                })+
            })+
        }
        mod host {
            $(mod $area {
                $(#[test]
                fn $name() {
                    crate::contract::$area::$name(&crate::HostScene::new());
                })+
            })+
        }
    };
}

on_both! {
    addresses:
        a_floating_address_is_tagged_and_makes_no_route
        what_is_there_is_not_added_again
        what_is_not_there_cannot_be_removed
        each_change_has_its_own_answer
        a_link_that_goes_down_loses_its_ipv6_addresses
        no_ipv6_address_where_it_is_disabled
        what_others_change_is_noticed_and_own_changes_of_addresses_are_not;
    links:
        the_host_is_as_it_was_made
        a_bridge_is_created_once
        a_pair_lives_and_dies_together
        a_pair_runs_while_both_ends_are_up
        the_far_end_may_be_in_another_namespace
        a_bridge_runs_while_a_port_does
        what_cannot_be_is_refused
        a_deleted_link_takes_all_that_is_on_it
        a_link_that_moves_leaves_all_behind
        a_link_that_moves_keeps_its_index_if_it_can
        what_cannot_move_stays
        a_link_is_renamed_with_its_parameters;
    policy:
        a_rule_is_added_once
        a_rule_is_deleted_once_and_only_if_it_is_meant
        a_table_has_routes_of_its_own
        routes_of_a_table_go_with_their_link
        a_route_is_deleted_once
        replies_get_a_table_of_their_own
        what_is_half_done_is_completed
        a_link_that_came_again_gets_its_own_table
        addresses_of_one_link_share_its_table
        a_rule_outlives_its_link_and_is_removed
        what_others_made_stays
        a_link_that_is_not_ready_is_refused;
    routes:
        a_route_is_replaced_and_not_doubled
        a_gateway_must_be_on_the_link
        parameters_are_read_and_set
        forwarding_for_all_is_forwarding_for_each
        a_new_link_has_the_default_parameters;
    rules:
        what_is_committed_is_read_back
        a_stale_transaction_does_nothing
        a_transaction_is_made_whole_or_not_at_all
        a_table_is_created_and_deleted_once
        elements_may_change_within_a_transaction
        a_subnet_within_another_is_refused
        nothing_to_do_is_no_transaction
        a_generation_counts_the_transactions_of_all
        the_pass_rule_goes_after_the_users_rules
        a_misplaced_pass_rule_is_put_right
        foreign_rules_of_unknown_handles_fail;
    counters:
        every_translation_counts
        counters_are_read_with_the_elements;
    narrow:
        a_part_of_the_elements_is_read
        networks_that_came_and_went_since_are_known
        whose_egress_it_is_is_known;
    wire:
        a_silent_address_is_free
        a_rival_is_heard_until_it_falls_silent
        nobody_hears_before_a_probe
        a_link_that_is_down_loses_frames;
    monitor:
        every_change_is_signalled
        a_wait_ends_at_its_deadline
        a_waker_ends_a_wait
        claims_are_heard_on_the_uplinks_only
        a_watch_repairs_what_others_destroy
        a_watch_announces_again_when_the_carrier_returns
        a_watch_yields_to_a_newer_claim
        a_watch_finds_a_rival_that_it_did_not_hear
        a_watch_asks_again_for_what_a_rival_has;
    bindings:
        a_whole_address_comes_and_goes
        ports_come_and_go
        what_is_bound_stays_with_its_owner
        rivals_are_refused_waited_for_or_taken_over
        a_lost_ruleset_is_made_anew
        a_damaged_table_is_made_anew_with_everybodys_bindings
        a_lost_address_comes_back
        reconciling_is_exact
        user_chains_get_one_rule
        a_new_subnet_is_a_new_hairpin
        subnets_within_each_other_are_one_hairpin
        what_cannot_be_bound_changes_nothing;
    held:
        a_route_holds_an_address_beside_what_else_does
        what_is_asked_about_is_what_is_there
        routes_go_untold_with_the_last_address
        routes_that_went_are_missed_though_an_address_came_since
        what_is_answered_chooses_how_it_is_held
        it_is_held_otherwise_if_that_is_asked_for
        what_is_answered_is_looked_at_again_when_links_changed
        a_link_without_any_address_holds_one_by_a_route
        a_link_with_floating_addresses_only_keeps_its_routes_and_gets_none
        how_another_link_held_it_does_not_matter
        a_route_that_nobody_would_ask_for_is_refused
        a_route_of_somebody_else_is_the_hosts_own_address
        both_are_strays_without_their_rules
        a_watch_repairs_routes_that_went_untold;
    bridge_rules:
        rules_of_a_bridge_come_and_go
        rules_of_a_bridge_are_exactly_those_given
        a_bridge_without_outlets_needs_no_forwarding
        only_what_the_bridge_has_is_forwarded
        bindings_and_bridges_share_the_table
        rules_of_bridges_outlive_a_damaged_table
        bridges_need_the_rule_in_user_chains
        bridges_keep_their_mark;
    holding:
        a_watch_holds_several_owners
        a_watch_keeps_the_rules_of_bridges
        a_watch_holds_one_more_and_lets_go
        what_cannot_be_held_leaves_nothing
        a_yielded_address_is_claimed_again_when_it_is_held
        what_others_destroy_meanwhile_is_repaired;
    each:
        each_is_held_on_its_own_in_one_step
        workloads_are_exchanged_without_touching_the_address
        what_is_refused_leaves_nothing_behind
        an_exchange_does_not_take_back_what_was_yielded;
    challenges:
        who_asks_for_an_address_that_is_held_is_told
        a_challenge_is_told_at_most_once_a_second
        what_is_not_held_is_nobodys_challenge
        an_address_is_given_up_until_it_is_desired_anew;
    bridges:
        a_bridge_is_ensured_and_deleted
        a_workload_is_attached_and_detached;
}
