//! Topics and their partitions in the requests and responses of Produce and Fetch.
//!
//! A decoded array is a `Vec`, which for a request of one record costs more than the rest of its decoding. [`Topics`] and
//! [`Partitions`] are instead places in the frame, read anew each time they are walked. The price of that would be an
//! error at every step, in the middle of a handler that has already acted on the partitions before; so all of them are
//! checked once when the request is decoded, and from then on walking cannot fail.
//!
//! A response is written as its partitions come ([`TopicsWriter`]), so that it needs no `Vec` either.

use std::marker::PhantomData;

use ottla_base::Uuid;

use crate::reader::{DecodeError, DecodeErrorKind, Reader};
use crate::view::{CHECKED, Layout, text};
use crate::writer::Writer;

/// First version of Produce and of Fetch that says a topic's id in place of its name (KIP-516).
const TOPIC_ID_FROM: i16 = 13;
/// Most partitions that one request may name in its topics. A few bytes of a request name one, and whoever handles it keeps
/// much more for each; Kafka has no limit.
pub const PARTITIONS_MAX: usize = 100_000;

/// How a request names a topic. The response names it in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey<'a> {
    Name(&'a str),
    Id(Uuid),
}

/// A topic of a request, and what is said of some of its partitions.
#[derive(Clone, Copy, Debug)]
pub struct Topic<'a, P> {
    pub named: Named<'a>,
    pub partitions: Partitions<'a, P>,
}

/// How a request names a topic, in the frame. An answer of the same version repeats the bytes of an id, or of a name that can be
/// one: to look whether they are UTF-8 costs more.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

/// The topics of a request, in the frame.
#[derive(Clone, Copy, Debug)]
pub struct Topics<'a, P> {
    /// Stands at the first topic.
    reader: Reader<'a>,
    len: usize,
    layout: Layout,
    partition: PhantomData<P>,
}

/// The partitions of a topic, in the frame.
#[derive(Clone, Copy, Debug)]
pub struct Partitions<'a, P> {
    /// Stands at the first partition.
    reader: Reader<'a>,
    len: usize,
    layout: Layout,
    partition: PhantomData<P>,
}

/// What is said of a partition. Both functions leave the reader behind it.
pub trait Partition<'a>: Copy {
    fn check(reader: &mut Reader<'a>, layout: Layout) -> Result<(), DecodeError>;

    /// Reads one that was checked.
    fn read(reader: &mut Reader<'a>, layout: Layout) -> Self;
}

/// Nothing but its index.
impl<'a> Partition<'a> for i32 {
    #[inline]
    fn check(reader: &mut Reader<'a>, _: Layout) -> Result<(), DecodeError> {
        reader.i32("partition").map(drop)
    }

    #[inline]
    fn read(reader: &mut Reader<'a>, _: Layout) -> i32 {
        reader.i32("partition").expect(CHECKED)
    }
}

impl<'a> TopicKey<'a> {
    #[inline(always)]
    fn check(reader: &mut Reader<'a>, layout: Layout) -> Result<(), DecodeError> {
        if layout.version >= TOPIC_ID_FROM {
            return reader.uuid("topic_id").map(drop);
        }
        let start = *reader;
        match reader.nullable_str_bytes("topic", layout.form)? {
            Some(_) => Ok(()),
            None => Err(start.error("topic", DecodeErrorKind::Null)),
        }
    }

    #[inline]
    fn write(self, writer: &mut Writer<'_>, layout: Layout) {
        match (self, layout.version >= TOPIC_ID_FROM) {
            (TopicKey::Id(id), true) => writer.uuid(id),
            (TopicKey::Name(name), false) => writer.str(name, layout.form),
            _ => panic!("version {} does not name a topic as {self:?}", layout.version),
        }
    }
}

impl<'a> Named<'a> {
    /// Reads one that was checked.
    #[inline(always)]
    fn read(reader: &mut Reader<'a>, layout: Layout) -> Named<'a> {
        let mut start = *reader;
        TopicKey::check(reader, layout).expect(CHECKED);
        let bytes = start.take(start.remaining() - reader.remaining(), "topic").expect(CHECKED);
        Named { bytes, layout }
    }

    #[inline]
    pub fn key(self) -> TopicKey<'a> {
        let mut reader = Reader::new(self.bytes);
        if self.layout.version >= TOPIC_ID_FROM {
            TopicKey::Id(reader.uuid("topic_id").expect(CHECKED))
        } else {
            TopicKey::Name(text(&mut reader, "topic", self.layout.form).expect(CHECKED))
        }
    }
}

/// Where the topics of a request stand in its bytes: whoever keeps those can walk the topics later, and they need not be
/// checked again.
#[derive(Clone, Copy, Debug)]
pub struct TopicsPlace {
    position: usize,
    len: usize,
    layout: Layout,
}

impl<'a, P> Topics<'a, P> {
    /// Counted from the first byte that the reader was given.
    pub fn place(&self) -> TopicsPlace {
        TopicsPlace { position: self.reader.position(), len: self.len, layout: self.layout }
    }

    /// The topics of a request that was decoded from these very bytes. Walking others may panic.
    pub fn at(place: TopicsPlace, bytes: &'a [u8]) -> Topics<'a, P> {
        let mut reader = Reader::new(bytes);
        reader.take(place.position, "topics").expect(CHECKED);
        Topics { reader, len: place.len, layout: place.layout, partition: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What a version has that lacks the field.
    pub(crate) fn none(layout: Layout) -> Topics<'a, P> {
        Topics { reader: Reader::new(&[]), len: 0, layout, partition: PhantomData }
    }
}

impl<'a, P: Partition<'a>> Topics<'a, P> {
    /// Checks every topic with all its partitions, of which there may be [`PARTITIONS_MAX`].
    #[inline]
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        field: &'static str,
        layout: Layout,
    ) -> Result<Topics<'a, P>, DecodeError> {
        let len = reader.array_len(field, layout.form)?;
        let topics = Topics { reader: *reader, len, layout, partition: PhantomData };
        let mut behind = *reader;
        let mut room = PARTITIONS_MAX;
        for _ in 0..len {
            TopicKey::check(&mut behind, layout)?;
            let start = behind;
            let partitions = Partitions::<P>::begin(&mut behind, layout)?;
            let too_many = || start.error("partitions", DecodeErrorKind::TooMany);
            room = room.checked_sub(partitions.len).ok_or_else(too_many)?;
            partitions.check(&mut behind)?;
            layout.skip_tags(&mut behind)?;
        }
        *reader = behind;
        Ok(topics)
    }
}

impl<'a, P> Partitions<'a, P> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<'a, P: Partition<'a>> Partitions<'a, P> {
    /// Leaves the reader at the first partition.
    #[inline(always)]
    fn begin(reader: &mut Reader<'a>, layout: Layout) -> Result<Partitions<'a, P>, DecodeError> {
        let len = reader.array_len("partitions", layout.form)?;
        Ok(Partitions { reader: *reader, len, layout, partition: PhantomData })
    }

    /// Leaves the reader behind the last partition.
    #[inline(always)]
    fn check(self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        let mut behind = self.reader;
        for _ in 0..self.len {
            P::check(&mut behind, self.layout)?;
        }
        *reader = behind;
        Ok(())
    }
}

impl<'a, P: Partition<'a>> IntoIterator for Topics<'a, P> {
    type Item = Topic<'a, P>;
    type IntoIter = TopicsIter<'a, P>;

    #[inline]
    fn into_iter(self) -> TopicsIter<'a, P> {
        TopicsIter { topics: self, last: None }
    }
}

impl<'a, P: Partition<'a>> IntoIterator for Partitions<'a, P> {
    type Item = P;
    type IntoIter = PartitionsIter<'a, P>;

    #[inline]
    fn into_iter(self) -> PartitionsIter<'a, P> {
        PartitionsIter(self)
    }
}

#[derive(Clone, Debug)]
pub struct TopicsIter<'a, P> {
    /// Those to come.
    topics: Topics<'a, P>,
    /// Partitions of the last topic. The reader passes them when a next topic is asked for: mostly there is none.
    last: Option<Partitions<'a, P>>,
}

impl<'a, P: Partition<'a>> Iterator for TopicsIter<'a, P> {
    type Item = Topic<'a, P>;

    #[inline]
    fn next(&mut self) -> Option<Topic<'a, P>> {
        let Topics { reader, len, layout, .. } = &mut self.topics;
        *len = len.checked_sub(1)?;
        if let Some(last) = self.last {
            last.check(reader).expect(CHECKED);
            layout.skip_tags(reader).expect(CHECKED);
        }
        let named = Named::read(reader, *layout);
        let partitions = Partitions::begin(reader, *layout).expect(CHECKED);
        self.last = Some(partitions);
        Some(Topic { named, partitions })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.topics.len, Some(self.topics.len))
    }
}

#[derive(Clone, Debug)]
pub struct PartitionsIter<'a, P>(Partitions<'a, P>);

impl<'a, P: Partition<'a>> Iterator for PartitionsIter<'a, P> {
    type Item = P;

    #[inline]
    fn next(&mut self) -> Option<P> {
        self.0.len = self.0.len.checked_sub(1)?;
        let mut behind = self.0.reader;
        let partition = P::read(&mut behind, self.0.layout);
        self.0.reader = behind;
        Some(partition)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len, Some(self.0.len))
    }
}

/// Appends the topics of a response, whose numbers are told beforehand. Whoever tells wrong ones has a bug, and a client
/// would misread what follows, so every call checks them.
#[derive(Debug)]
pub struct TopicsWriter<'o> {
    pub out: &'o mut Vec<u8>,
    pub layout: Layout,
    topics_left: usize,
    partitions_left: usize,
}

impl<'o> TopicsWriter<'o> {
    #[inline]
    pub fn begin(out: &'o mut Vec<u8>, layout: Layout, topics: usize) -> TopicsWriter<'o> {
        Writer::new(out).array_len(topics, layout.form);
        TopicsWriter { out, layout, topics_left: topics, partitions_left: 0 }
    }

    #[inline]
    pub fn topic(&mut self, key: TopicKey<'_>, partitions: usize) {
        key.write(&mut Writer::new(self.out), self.layout);
        self.begin_topic(partitions);
    }

    /// One that a request of the same version names so.
    #[inline]
    pub fn topic_as(&mut self, named: Named<'_>, partitions: usize) {
        assert_eq!(named.layout, self.layout, "a request of another version names topics otherwise");
        if named.layout.version >= TOPIC_ID_FROM || named.bytes.is_ascii() {
            self.out.extend_from_slice(named.bytes);
        } else {
            // Perhaps no text at all, which no answer may contain.
            named.key().write(&mut Writer::new(self.out), self.layout);
        }
        self.begin_topic(partitions);
    }

    #[inline]
    fn begin_topic(&mut self, partitions: usize) {
        assert_eq!(self.partitions_left, 0, "partitions of the topic before are missing");
        self.topics_left = self.topics_left.checked_sub(1).expect("more topics than announced");
        self.partitions_left = partitions;
        Writer::new(self.out).array_len(partitions, self.layout.form);
        self.end_topic();
    }

    #[inline]
    pub fn begin_partition(&mut self) {
        self.partitions_left = self.partitions_left.checked_sub(1).expect("more partitions than announced");
    }

    /// To be called behind the fields of the partition.
    #[inline]
    pub fn end_partition(&mut self) {
        self.end_topic();
    }

    #[inline]
    pub fn end(self) -> Writer<'o> {
        assert_eq!((self.topics_left, self.partitions_left), (0, 0), "topics or partitions are missing");
        Writer::new(self.out)
    }

    /// A topic's tags stand behind its last partition.
    #[inline]
    fn end_topic(&mut self) {
        if self.partitions_left == 0 && self.layout.is_flexible() {
            self.out.push(0);
        }
    }
}
