//! Capabilities: the few that a nest needs within its user namespace, and none for a session.

use std::io;

use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits,
};

/// What forking and locking down a session takes.
fn needed_by_nest() -> CapabilitySet {
    // Namespaces, mounts and the host name; ids; the bounding set and secure bits; the loopback interface.
    CapabilitySet::SYS_ADMIN
        | CapabilitySet::SETUID
        | CapabilitySet::SETGID
        | CapabilitySet::SETPCAP
        | CapabilitySet::NET_ADMIN
}

/// Gives up all others and keeps these over exec, in spite of the nest's uid not being 0.
pub(crate) fn limit_to_nest() -> io::Result<()> {
    let kept = needed_by_nest();
    drop_from_bounding_set(kept.complement())?;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: kept })?;
    for capability in kept.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Gives up every capability, in every set, and every way back to one.
pub(crate) fn drop_all() -> io::Result<()> {
    clear_ambient_capability_set()?;
    drop_from_bounding_set(CapabilitySet::all())?;
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(locked)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// Those that this kernel does not know are left out.
fn drop_from_bounding_set(capabilities: CapabilitySet) -> io::Result<()> {
    for capability in capabilities.iter() {
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
