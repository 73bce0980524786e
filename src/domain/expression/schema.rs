//! The types of an expression and the variables it may read. Knows nothing of where those variables come from.

use std::collections::BTreeMap;
use std::fmt;

/// What a value is, as far as it is known before anything runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number or a fraction; the two compare and calculate with each other.
    Number,
    /// A text.
    Text,
    /// A length of time. In the scope it stands as text: `5m`, `300000ms`.
    Duration,
    /// A list whose items are of one type.
    List(Box<Type>),
    /// Any key, all values of one type; a key may be absent.
    Map(Box<Type>),
    /// Exactly these fields; one that is absent or null in the scope counts as missing.
    Object(BTreeMap<String, Type>),
    /// Unchecked: what it is turns out when it runs.
    Any,
}

/// The variables in scope, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// Each variable's type.
    pub names: BTreeMap<String, Type>,
}

impl Type {
    /// A list of `item`.
    pub fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    /// A map with values of type `value`.
    pub fn map(value: Self) -> Self {
        Self::Map(Box::new(value))
    }

    /// An object of exactly these fields.
    pub fn object<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Object(fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect())
    }

    /// The one type that both are, if there is one; `Any` goes with everything.
    pub fn unify(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => Some(Self::Any),
            (Self::List(a), Self::List(b)) => a.unify(b).map(Self::list),
            (Self::Map(a), Self::Map(b)) => a.unify(b).map(Self::map),
            _ => (self == other).then(|| self.clone()),
        }
    }
}

impl Schema {
    /// A schema of these variables.
    pub fn new<const N: usize>(names: [(&str, Type); N]) -> Self {
        Self { names: names.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect() }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Duration => "a length of time",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Object(_) => "a map",
            Self::Any => "anything",
        })
    }
}
