//! The Docker side of fip: a libnetwork (CNM) remote network driver and the agent that connects
//! labelled containers to it, both thin adapters of [`fip_core`].
