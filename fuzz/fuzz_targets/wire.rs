//! What a session may send, from a hostile one: any bytes, in any pieces. Parsing them must neither panic nor take more
//! than was there, must not depend on the pieces, and must give a frame back unchanged when it is sent on.

#![no_main]

use eggbox_sandbox::wire::{
    FrameError, FromSession, HEADER_BYTES, SESSION_FRAME_BYTES_MAX, VALUE_BYTES_MAX, ValueHeader,
};
use libfuzzer_sys::fuzz_target;

/// Reads frames as the server does: what has arrived is tried, and only then more is read.
fn frames(bytes: &[u8], piece: usize) -> (Vec<FromSession>, Option<FrameError>) {
    let mut frames = Vec::new();
    let mut received = Vec::new();
    for arrived in bytes.chunks(piece) {
        received.extend_from_slice(arrived);
        loop {
            match FromSession::decode(&received) {
                Ok(None) => {
                    assert!(received.len() <= HEADER_BYTES + SESSION_FRAME_BYTES_MAX, "waits for more than a frame");
                    break;
                }
                Ok(Some((frame, taken))) => {
                    assert!((HEADER_BYTES..=received.len()).contains(&taken));
                    received.drain(..taken);
                    frames.push(frame);
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else { return };
    if let Some(header) = bytes.first_chunk().copied().and_then(ValueHeader::decode) {
        assert!(header.length <= VALUE_BYTES_MAX);
        assert!(header.encode().is_ok_and(|again| bytes.starts_with(&again)));
    }
    let whole = frames(bytes, usize::MAX);
    let cut = frames(bytes, usize::from(piece).max(1));
    assert_eq!(whole, cut);
    for frame in whole.0 {
        // A status report may grow when it is written again, and then be too long; the other frames cannot.
        match frame.encode() {
            Ok(encoded) => assert_eq!(FromSession::decode(&encoded), Ok(Some((frame, encoded.len())))),
            Err(error) => assert!(matches!((frame, error), (FromSession::Ready(_), FrameError::TooLong { .. }))),
        }
    }
});
