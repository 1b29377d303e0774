//! Session keys out of a master key (RFC 3711 4.3), and what is done with them: the keystream of AES in counter mode (4.1.1) and the
//! HMAC-SHA1 tag (4.2.1). Counts nothing; who calls sees to it that no index is used twice.

use core::fmt;

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use crate::wire::sdp::CryptoKeys;

const CIPHER_BYTES: usize = 16;
const SALT_BYTES: usize = 14;
/// Bytes of a key of HMAC-SHA1.
const MAC_BYTES: usize = 20;
/// Blocks that are made at once, as many as the processor's instructions can keep in flight.
const AT_ONCE: usize = 8;

/// What a set of session keys is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// SRTP.
    Audio,
    /// SRTCP.
    Control,
}

impl Purpose {
    /// Labels of the cipher's key, the tag's key and the salt (RFC 3711 4.3.2).
    const fn labels(self) -> [u8; 3] {
        match self {
            Self::Audio => [0, 1, 2],
            Self::Control => [3, 4, 5],
        }
    }
}

/// The session keys of one direction for one purpose.
#[derive(Clone)]
pub(super) struct SessionKeys {
    cipher: Aes128Enc,
    salt: [u8; SALT_BYTES],
    mac: Hmac<Sha1>,
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl SessionKeys {
    /// Derived once from the master key and its salt: the derivation rate is zero, as SDES has it.
    pub(super) fn derive(master: &CryptoKeys, purpose: Purpose) -> Self {
        let (mut key, mut salt) = ([0; CIPHER_BYTES], [0; SALT_BYTES]);
        key.copy_from_slice(&master.0[..CIPHER_BYTES]);
        salt.copy_from_slice(&master.0[CIPHER_BYTES..]);
        let master = Aes128Enc::new(&Array::from(key));
        let [cipher, mac, of_salt] = purpose.labels();
        let (mut cipher_key, mut mac_key, mut session_salt) = ([0; CIPHER_BYTES], [0; MAC_BYTES], [0; SALT_BYTES]);
        for (label, out) in [(cipher, &mut cipher_key[..]), (mac, &mut mac_key), (of_salt, &mut session_salt)] {
            let mut iv = start_of(&salt);
            // The label stands above the 48 bits of an index that is zero.
            iv[7] ^= label;
            apply(&master, iv, out);
        }
        Self {
            cipher: Aes128Enc::new(&Array::from(cipher_key)),
            salt: session_salt,
            mac: Hmac::new_from_slice(&mac_key).unwrap_or_else(|_| Hmac::new(&Default::default())),
        }
    }

    /// Encrypts or decrypts what `ssrc` says at this 48-bit index.
    pub(super) fn apply(&self, ssrc: u32, index: u64, payload: &mut [u8]) {
        let mut iv = start_of(&self.salt);
        xor(&mut iv[4..8], &ssrc.to_be_bytes());
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        apply(&self.cipher, iv, payload);
    }

    /// Writes the tag of `signed` followed by `more` over the whole of `tag`, cut to its length.
    pub(super) fn sign(&self, signed: &[u8], more: &[u8], tag: &mut [u8]) {
        let whole = self.mac.clone().chain_update(signed).chain_update(more).finalize().into_bytes();
        tag.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    }

    /// Is it the tag of `signed` followed by `more`? Takes as long whichever byte differs.
    pub(super) fn verify(&self, signed: &[u8], more: &[u8], tag: &[u8]) -> bool {
        self.mac.clone().chain_update(signed).chain_update(more).verify_truncated_left(tag).is_ok()
    }
}

/// A salt at its place in a counter block.
fn start_of(salt: &[u8; SALT_BYTES]) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..SALT_BYTES].copy_from_slice(salt);
    iv
}

fn xor(to: &mut [u8], with: &[u8]) {
    to.iter_mut().zip(with).for_each(|(to, with)| *to ^= with);
}

/// XORs the keystream that begins at `iv` into `bytes`; the last two bytes of a block count.
fn apply(cipher: &Aes128Enc, iv: [u8; 16], bytes: &mut [u8]) {
    let mut counter = 0_u16;
    for chunk in bytes.chunks_mut(AT_ONCE * 16) {
        let mut blocks = [Array::from(iv); AT_ONCE];
        let blocks = &mut blocks[..chunk.len().div_ceil(16)];
        for block in &mut *blocks {
            xor(&mut block[SALT_BYTES..], &counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(blocks);
        for (bytes, block) in chunk.chunks_mut(16).zip(&*blocks) {
            xor(bytes, block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        core::array::from_fn(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
    }

    #[test]
    fn the_keystream_is_that_of_rfc_3711_b2() {
        let cipher = Aes128Enc::new(&Array::from(hex("2b7e151628aed2a6abf7158809cf4f3c")));
        let mut stream = vec![0; 0xff02 * 16];
        apply(&cipher, hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000"), &mut stream);
        for (block, expected) in [
            (0, "e03ead0935c95e80e166b16dd92b4eb4"),
            (1, "d23513162b02d0f72a43a2fe4a5f97ab"),
            (2, "41e95b3bb0a2e8dd477901e4fca894c0"),
            (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
            (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
            (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
        ] {
            assert_eq!(stream[block * 16..][..16], hex::<16>(expected), "block {block:#x}");
        }
    }

    #[test]
    fn the_session_keys_are_those_of_rfc_3711_b3() {
        let master = CryptoKeys(hex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6"));
        let keys = SessionKeys::derive(&master, Purpose::Audio);
        assert_eq!(keys.salt, hex("30cbbc08863d8c85d49db34a9ae1"));
        let cipher = Aes128Enc::new(&Array::from(hex("c61e7a93744f39ee10734afe3ff7a087")));
        let (mut ours, mut theirs) = (Array::from([0; 16]), Array::from([0; 16]));
        keys.cipher.encrypt_block(&mut ours);
        cipher.encrypt_block(&mut theirs);
        assert_eq!(ours, theirs);
        let mac = Hmac::<Sha1>::new_from_slice(&hex::<20>("cebe321f6ff7716b6fd4ab49af256a156d38baa4")).unwrap();
        let mut tag = [0; 20];
        keys.sign(b"ab", b"c", &mut tag);
        assert_eq!(tag, mac.chain_update(b"abc").finalize().into_bytes().as_slice());
        assert_eq!(format!("{keys:?}"), "[redacted]");
    }

    #[test]
    fn a_tag_is_verified_at_its_own_length_alone() {
        let keys = SessionKeys::derive(&CryptoKeys([9; 30]), Purpose::Control);
        let mut tag = [0; 10];
        keys.sign(b"packet", b"", &mut tag);
        assert!(keys.verify(b"packet", b"", &tag) && keys.verify(b"pack", b"et", &tag));
        assert!(!keys.verify(b"packet", b"", &[]), "no tag is no signature");
        for bit in 0..80 {
            let mut forged = tag;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!keys.verify(b"packet", b"", &forged), "bit {bit}");
        }
    }
}
