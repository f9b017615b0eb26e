//! What a table says: messages, their structs, their fields.

use super::snake;
use super::table::Row;

/// An inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub from: i16,
    pub to: i16,
}

pub struct Message {
    pub name: String,
    /// API key, or id of a record.
    pub id: Option<i16>,
    pub versions: Versions,
    pub flexible_from: Option<i16>,
    /// The message itself, then those nested in it.
    pub structs: Vec<Struct>,
}

pub struct Struct {
    pub name: String,
    /// In which versions of the message it occurs.
    pub versions: Versions,
    pub fields: Vec<Field>,
}

#[derive(Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    pub is_array: bool,
    pub versions: Versions,
    pub nullable: Option<Versions>,
    pub tag: Option<u32>,
    /// As the table has it: empty is the type's own.
    pub default: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint16,
    Float64,
    Uuid,
    String,
    /// `bytes` and `records`, which are alike on the wire.
    Bytes,
    Struct(String),
}

impl Message {
    /// Name of its file, without the extension.
    pub fn file(&self) -> String {
        snake(&self.name)
    }

    /// The versions that have tag sections.
    pub fn flexible(&self) -> Option<Versions> {
        let from = self.flexible_from?;
        Some(Versions { from: from.max(self.versions.from), to: self.versions.to })
    }
}

impl Struct {
    /// By rising tag.
    pub fn tagged(&self) -> Vec<(u32, &Field)> {
        let mut tagged: Vec<_> = self.fields.iter().filter_map(|field| Some((field.tag?, field))).collect();
        tagged.sort_by_key(|(tag, _)| *tag);
        tagged
    }
}

impl Versions {
    fn parse(text: &str) -> Option<Versions> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        Some(Versions { from: from.parse().ok()?, to: to.parse().ok()? })
    }

    /// What both cover, if nothing between them is left out.
    fn union(self, other: Versions) -> Option<Versions> {
        let apart = self.from > other.to + 1 || other.from > self.to + 1;
        (!apart).then(|| Versions { from: self.from.min(other.from), to: self.to.max(other.to) })
    }
}

/// The messages of a table, in its order. A message's rows follow one another.
pub fn messages(rows: &[Row]) -> Result<Vec<Message>, String> {
    let mut messages: Vec<Message> = Vec::new();
    for row in rows {
        let name = row.cell("message")?;
        if messages.last().is_none_or(|message| message.name != name) {
            messages.push(message(row, name)?);
        }
        let message = messages.last_mut().expect("one was just pushed");
        if !row.cell("field")?.is_empty() {
            let path = row.cell("field")?.replace("[]", "");
            let field = field(row, path.rsplit('.').next().expect("a split has a part"))?;
            let parents = path.split('.').rev().skip(1).collect::<Vec<_>>();
            add(message, &parents, field).map_err(|what| row.complain(&what))?;
        }
    }
    Ok(messages)
}

fn message(row: &Row, name: &str) -> Result<Message, String> {
    let versions = versions(row, "versions")?.ok_or(row.complain("no versions"))?;
    Ok(Message {
        name: name.to_owned(),
        id: if row.cell("id")?.is_empty() { None } else { Some(row.number("id")?) },
        versions,
        flexible_from: if row.cell("flexible_from")? == "none" { None } else { Some(row.number("flexible_from")?) },
        structs: vec![Struct { name: name.to_owned(), versions, fields: Vec::new() }],
    })
}

fn field(row: &Row, name: &str) -> Result<Field, String> {
    let ty = row.cell("type")?;
    let (is_array, element) = ty.strip_prefix("[]").map_or((false, ty), |element| (true, element));
    let kind = match element {
        "bool" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "uint16" => Kind::Uint16,
        "float64" => Kind::Float64,
        "uuid" => Kind::Uuid,
        "string" => Kind::String,
        "bytes" | "records" => Kind::Bytes,
        name if name.starts_with(char::is_uppercase) => Kind::Struct(name.to_owned()),
        _ => return Err(row.complain(&format!("no type {ty}"))),
    };
    Ok(Field {
        name: name.to_owned(),
        kind,
        is_array,
        versions: versions(row, "field_versions")?.ok_or(row.complain("no field_versions"))?,
        nullable: versions(row, "nullable_versions")?,
        tag: if row.cell("tag")?.is_empty() { None } else { Some(row.number("tag")?) },
        default: row.cell("default")?.to_owned(),
    })
}

fn versions(row: &Row, column: &str) -> Result<Option<Versions>, String> {
    match row.cell(column)? {
        "" => Ok(None),
        text => Versions::parse(text).map(Some).ok_or_else(|| row.complain(&format!("{column} is {text:?}"))),
    }
}

/// Adds a field to the struct that `parents` (the innermost first) lead to. A struct that occurs twice in a message has
/// its fields twice in the table; each time with the versions of that place.
fn add(message: &mut Message, parents: &[&str], field: Field) -> Result<(), String> {
    let mut owner = 0;
    for parent in parents.iter().rev() {
        let kind = message.structs[owner].fields.iter().find(|field| field.name == *parent).map(|field| &field.kind);
        let Some(Kind::Struct(name)) = kind else { return Err(format!("{parent} is no struct")) };
        owner = position(message, name).expect("it was added with the field");
    }
    if let Kind::Struct(name) = &field.kind {
        match position(message, name) {
            Some(at) => widen(&mut message.structs[at].versions, field.versions)?,
            None => {
                let nested = Struct { name: name.clone(), versions: field.versions, fields: Vec::new() };
                message.structs.push(nested);
            }
        }
    }
    let fields = &mut message.structs[owner].fields;
    match fields.iter_mut().find(|known| known.name == field.name) {
        None => fields.push(field),
        Some(known) => {
            widen(&mut known.versions, field.versions)?;
            match (&mut known.nullable, field.nullable) {
                (Some(known), Some(versions)) => widen(known, versions)?,
                (None, None) => {}
                _ => return Err(format!("{} is nullable in one place only", field.name)),
            }
            let same = Field { versions: known.versions, nullable: known.nullable, ..field };
            if *known != same {
                return Err(format!("{} differs from its other occurrence", same.name));
            }
        }
    }
    Ok(())
}

fn position(message: &Message, name: &str) -> Option<usize> {
    message.structs.iter().position(|nested| nested.name == name)
}

fn widen(versions: &mut Versions, by: Versions) -> Result<(), String> {
    *versions = versions.union(by).ok_or(format!("{versions:?} and {by:?} are apart"))?;
    Ok(())
}
