//! What can stand in an array or a message: a struct, or a primitive.

use std::sync::Arc;

use ottla_base::Uuid;

use crate::decode::Decoder;
use crate::encode::Encoder;

pub trait Value: Default {
    /// Fills in the fields that the version has; the others stay as they are.
    fn read(&mut self, d: &mut Decoder<'_>);
    fn write(&self, e: &mut Encoder<'_, '_>);

    /// Tells each error code of a response.
    fn each_error(&self, found: &mut dyn FnMut(i16)) {
        let _ = found;
    }
}

macro_rules! primitives {
    ($($type:ty: $method:ident;)*) => {$(
        impl Value for $type {
            fn read(&mut self, d: &mut Decoder<'_>) {
                d.$method(self, "element");
            }

            fn write(&self, e: &mut Encoder<'_, '_>) {
                e.$method(*self);
            }
        }
    )*};
}

primitives! {
    i8: i8;
    i16: i16;
    i32: i32;
    i64: i64;
    Uuid: uuid;
}

impl Value for Arc<str> {
    fn read(&mut self, d: &mut Decoder<'_>) {
        d.string(self, "element");
    }

    fn write(&self, e: &mut Encoder<'_, '_>) {
        e.string(self);
    }
}
