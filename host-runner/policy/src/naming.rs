//! Values that a policy file writes by name.

/// Reads and writes a type by its `ALL` list of values and names, and says
/// what the names are where one is wrong.
macro_rules! by_name {
    ($type:ident, $all:expr, $what:literal) => {
        impl $type {
            /// Its name in a policy.
            pub fn name(self) -> &'static str {
                $all.iter()
                    .find(|(value, _)| *value == self)
                    .map_or("?", |(_, name)| name)
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let names = || $all.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
                $all.iter()
                    .find(|(_, name)| *name == text)
                    .map(|(value, _)| *value)
                    .ok_or_else(|| format!("unknown {} {text:?}; choose one of {}", $what, names()))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let names: Vec<_> = $all.iter().map(|(_, name)| *name).collect();
                schemars::json_schema!({ "type": "string", "enum": names })
            }
        }
    };
}

pub(crate) use by_name;
