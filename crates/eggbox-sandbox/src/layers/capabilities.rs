//! Capabilities: the few that a nest needs within its user namespace, and none for a session.

use std::io;

use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
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
        // Where sessions have folders on the host's file systems: to hand them over and to remove what is in them.
        | CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FOWNER
        | CapabilitySet::KILL
}

/// Gives up all others and keeps these over exec, in spite of the nest's uid not being 0.
pub(crate) fn limit_to_nest(may_drop_bounding_set: bool) -> io::Result<()> {
    // What it has not got it cannot keep: without namespaces there may be nothing.
    let kept = needed_by_nest() & capabilities(None)?.permitted;
    if may_drop_bounding_set {
        drop_from_bounding_set(kept.complement())?;
    }
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: kept })?;
    for capability in kept.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Keeps the kernel from taking capabilities away when uid 0 is left, so that the steps after that can still be done.
pub(crate) fn keep_over_identity() -> io::Result<()> {
    Ok(set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?)
}

/// Gives up every capability, in every set, and every way back to one.
///
/// A nest that may not touch the bounding set leaves it: `no_new_privs` keeps it from mattering.
pub(crate) fn drop_all(may_drop_bounding_set: bool) -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    if !may_drop_bounding_set {
        return Ok(set_capabilities(None, none)?);
    }
    drop_from_bounding_set(CapabilitySet::all())?;
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(locked)?;
    Ok(set_capabilities(None, none)?)
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
