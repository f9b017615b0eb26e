//! The tables of `schema/`, read on their own: what a bug of the generator makes of them must not be believed here.

use std::ops::RangeInclusive;

pub struct Tables(Vec<Table>);

/// What the tables say of one message.
pub struct Table {
    pub name: String,
    pub versions: RangeInclusive<i16>,
    pub flexible_from: i16,
    pub fields: Vec<Field>,
}

pub struct Field {
    /// Of the struct it belongs to; empty for the message itself.
    pub parent: String,
    /// Where its own fields say they belong to, if it has any.
    pub path: String,
    pub element: String,
    pub is_array: bool,
    pub versions: RangeInclusive<i16>,
    pub nullable: Option<RangeInclusive<i16>>,
    pub tag: Option<u32>,
    pub default: String,
}

const FILES: &[&str] = &[
    include_str!("../../schema/messages.tsv"),
    include_str!("../../schema/metadata.tsv"),
    include_str!("../../schema/consumer_offsets.tsv"),
    include_str!("../../schema/transaction_state.tsv"),
    include_str!("../../schema/share_group_state.tsv"),
    include_str!("../../schema/control.tsv"),
    include_str!("../../schema/consumer_protocol.tsv"),
];

impl Tables {
    pub fn read() -> Tables {
        let mut tables: Vec<Table> = Vec::new();
        for line in FILES.iter().flat_map(|file| file.lines().skip(1)) {
            let cells: Vec<&str> = line.split('\t').collect();
            let [name, _, versions, flexible_from, path, ty, field_versions, nullable, tag, default] = cells[..] else {
                panic!("not ten cells: {line}")
            };
            if tables.last().is_none_or(|table| table.name != name) {
                tables.push(Table {
                    name: name.to_owned(),
                    versions: range(versions).unwrap(),
                    flexible_from: flexible_from.parse().unwrap_or(i16::MAX),
                    fields: Vec::new(),
                });
            }
            if !path.is_empty() {
                tables.last_mut().unwrap().fields.push(Field {
                    parent: path.rsplit_once('.').map_or("", |(parent, _)| parent).to_owned(),
                    path: path.to_owned(),
                    element: ty.trim_start_matches("[]").to_owned(),
                    is_array: ty.starts_with("[]"),
                    versions: range(field_versions).unwrap(),
                    nullable: range(nullable),
                    tag: tag.parse().ok(),
                    default: default.to_owned(),
                });
            }
        }
        Tables(tables)
    }

    pub fn message(&self, name: &str) -> &Table {
        self.0.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no table has {name}"))
    }
}

fn range(text: &str) -> Option<RangeInclusive<i16>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    Some(from.parse().ok()?..=to.parse().ok()?)
}
