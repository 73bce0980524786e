//! Stub.
use std::collections::BTreeMap;
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Bool,
    Number,
    Text,
    Duration,
    List(Box<Type>),
    Map(Box<Type>),
    Object(BTreeMap<String, Type>),
    Any,
}
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub names: BTreeMap<String, Type>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub span: std::ops::Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}
