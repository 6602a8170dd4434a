use crate::{CoreError, Seed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The address of a stored result: BLAKE3 over a canonical encoding of everything that decides its
/// content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key([u8; 32]);

impl Key {
    /// The key of raw bytes, as used for the content of a file.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        // A content digest, without the context of `KeyHasher`: files with equal bytes share it.
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.short())
    }
}

impl std::str::FromStr for Key {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        // Upper case is refused: a key has one name, which is also that of its folder.
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(CoreError::Key(text.to_owned()));
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16)
                .expect("two hexadecimal digits are a byte");
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Key {
    type Error = CoreError;

    fn try_from(text: String) -> Result<Self, CoreError> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

/// Feeds a [`Key`]. Every value is preceded by its kind and length, so that no two different inputs
/// read the same.
pub struct KeyHasher(blake3::Hasher);

impl KeyHasher {
    /// A hasher for one kind of result. `revision` is the constant that a crate raises when its
    /// arithmetic changes.
    pub fn new(kind: &str, revision: u32) -> Self {
        // A context of its own, so that no key is ever equal to the digest of a file.
        let mut hasher = Self(blake3::Hasher::new_derive_key("segad 2026 key"));
        hasher.field("kind", kind).field("revision", &revision);
        hasher
    }

    /// Adds a named value.
    pub fn field<T: CacheKey + ?Sized>(&mut self, name: &str, value: &T) -> &mut Self {
        // The name too: two settings that swap their values are different settings.
        name.feed(self);
        value.feed(self);
        self
    }

    /// The key of all that was added.
    pub fn finish(&self) -> Key {
        Key(*self.0.finalize().as_bytes())
    }

    fn raw(&mut self, kind: u8, bytes: &[u8]) {
        // Without the length, "ab" and "c" would hash as "a" and "bc" do.
        self.0.update(&[kind]);
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

/// A value that takes part in a [`Key`]. Unlike `Hash` the encoding is fixed: the same on every
/// machine, in every build.
pub trait CacheKey {
    /// Feeds the value's canonical encoding.
    fn feed(&self, hasher: &mut KeyHasher);
}

/// Feeds fields under their own names, in this order, which is part of the key.
///
/// ```
/// use segad_core::{KeyHasher, feed_fields};
///
/// struct Size {
///     height: u32,
///     width: u32,
/// }
/// let size = Size { height: 2, width: 3 };
/// let mut hasher = KeyHasher::new("size", 1);
/// feed_fields!(hasher, size: height, width);
/// let mut other = KeyHasher::new("size", 1);
/// other.field("height", &2u32).field("width", &3u32);
/// assert_eq!(hasher.finish(), other.finish());
/// ```
#[macro_export]
macro_rules! feed_fields {
    ($hasher:ident, $of:ident: $($field:ident),+) => {
        $hasher$(.field(stringify!($field), &$of.$field))+
    };
}

impl<T: CacheKey + ?Sized> CacheKey for &T {
    fn feed(&self, hasher: &mut KeyHasher) {
        (**self).feed(hasher);
    }
}

impl CacheKey for str {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher.raw(b's', self.as_bytes());
    }
}

impl CacheKey for String {
    fn feed(&self, hasher: &mut KeyHasher) {
        self.as_str().feed(hasher);
    }
}

impl CacheKey for bool {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher.raw(b'b', &[u8::from(*self)]);
    }
}

macro_rules! integer_key {
    ($($t:ty),*) => {$(
        impl CacheKey for $t {
            fn feed(&self, hasher: &mut KeyHasher) {
                // One width for all, so that a field may change its type and keep its key.
                hasher.raw(b'i', &(*self as i128).to_le_bytes());
            }
        }
    )*};
}
integer_key!(u8, u16, u32, u64, usize, i32, i64);

impl CacheKey for f64 {
    fn feed(&self, hasher: &mut KeyHasher) {
        // −0 and 0 are the same setting.
        let value = if *self == 0.0 { 0.0 } else { *self };
        hasher.raw(b'f', &value.to_bits().to_le_bytes());
    }
}

impl CacheKey for Key {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher.raw(b'k', &self.0);
    }
}

impl CacheKey for Seed {
    fn feed(&self, hasher: &mut KeyHasher) {
        self.0.feed(hasher);
    }
}

impl<T: CacheKey> CacheKey for Option<T> {
    fn feed(&self, hasher: &mut KeyHasher) {
        match self {
            None => hasher.raw(b'n', &[]),
            Some(value) => {
                // Else `Some(Some(x))` would hash as `Some(x)` does.
                hasher.raw(b'o', &[]);
                value.feed(hasher);
            }
        }
    }
}

impl<T: CacheKey> CacheKey for [T] {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher.raw(b'l', &(self.len() as u64).to_le_bytes());
        self.iter().for_each(|v| v.feed(hasher));
    }
}

impl<T: CacheKey> CacheKey for Vec<T> {
    fn feed(&self, hasher: &mut KeyHasher) {
        self.as_slice().feed(hasher);
    }
}

impl<K: CacheKey, V: CacheKey> CacheKey for BTreeMap<K, V> {
    fn feed(&self, hasher: &mut KeyHasher) {
        // A map is ordered, so that the order in which settings were written does not matter.
        hasher.raw(b'm', &(self.len() as u64).to_le_bytes());
        for (k, v) in self {
            k.feed(hasher);
            v.feed(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(f: impl Fn(&mut KeyHasher) -> &mut KeyHasher) -> Key {
        let mut hasher = KeyHasher::new("test", 1);
        f(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn neighbours_do_not_run_together() {
        let a = key(|h| h.field("x", "ab").field("y", "c"));
        let b = key(|h| h.field("x", "a").field("y", "bc"));
        assert_ne!(a, b);
        assert_ne!(
            key(|h| h.field("x", &vec![1u8, 2])),
            key(|h| h.field("x", &1u8).field("", &2u8))
        );
        assert_ne!(
            key(|h| h.field("x", &None::<u8>)),
            key(|h| h.field("x", &Some(0u8)))
        );
    }

    #[test]
    fn integers_of_any_width_are_one_value() {
        assert_eq!(key(|h| h.field("x", &7u8)), key(|h| h.field("x", &7u64)));
        assert_eq!(key(|h| h.field("x", &0.0)), key(|h| h.field("x", &-0.0)));
    }

    #[test]
    fn keys_read_back() {
        let k = Key::of_bytes(b"segad");
        assert_eq!(k.to_string().parse::<Key>().unwrap(), k);
        assert!("xyz".parse::<Key>().is_err());
        assert!("Z".repeat(64).parse::<Key>().is_err());
    }
}
