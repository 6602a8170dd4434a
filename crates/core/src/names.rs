/// Gives the variants of an enum their names: a list of all, the name of each and its `Display`.
/// With an error for unknown names, also the way back (`FromStr`, and `try_from` and `into` for
/// serde), and keys, which contain the name.
///
/// ```
/// use segad_core::named;
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// enum Side {
///     Left,
///     Right,
/// }
/// fn unknown(name: String) -> String {
///     format!("{name}: expected left or right")
/// }
/// named!(Side by name, unknown => String {
///     Left: "left",
///     Right: "right",
/// });
/// assert_eq!("right".parse(), Ok(Side::Right));
/// assert_eq!("top".parse::<Side>(), Err("top: expected left or right".to_owned()));
/// assert_eq!(Side::ALL.map(Side::name), ["left", "right"]);
/// ```
#[macro_export]
macro_rules! named {
    ($type:ident by $name:ident { $($variant:ident: $text:literal),+ $(,)? }) => {
        impl $type {
            /// All of them, in order.
            // Counted from the names, as a macro cannot count repetitions.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The name in files, in tables and on the command line.
            pub fn $name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                // `pad`, so that names keep to the width of a table's column.
                f.pad(self.$name())
            }
        }
    };
    ($type:ident by $name:ident, $unknown:path => $error:ty { $($names:tt)+ }) => {
        $crate::named!($type by $name { $($names)+ });

        impl ::std::str::FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> ::std::result::Result<Self, $error> {
                let found = Self::ALL.into_iter().find(|v| v.$name() == text);
                found.ok_or_else(|| $unknown(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> ::std::result::Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.$name().to_owned()
            }
        }

        impl $crate::CacheKey for $type {
            fn feed(&self, hasher: &mut $crate::KeyHasher) {
                // The name, not the position: a variant may be added anywhere and keys stay.
                self.$name().feed(hasher);
            }
        }
    };
}
