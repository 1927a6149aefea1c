// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Datagrams, and those that the hypervisor itself answers.
//!
//! The answer to a datagram is a number in a register: negative for a failure.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Handle, WireHandle, HYPERVISOR};
use crate::hyperv::wire::wire;

/// Bytes of the header.
pub const HEADER_LEN: usize = size_of::<DatagramHeader>();
/// Most bytes of a datagram, with its header.
pub const MAX_LEN: usize = 17 * 4096;
/// Most resources that one [`Service::Query`] names.
pub const MAX_QUERIED: usize = 31;
/// Byte that a guest reads where there is no datagram: no resource is named so.
pub const NO_DATAGRAM: u8 = 0xff;

/// Resources of the hypervisor.
pub mod resource {
    /// Which of some resources there are.
    pub const QUERY: u32 = 0;
    /// The guest's context.
    pub const GET_CONTEXT: u32 = 1;
    /// Where the notification bitmap is.
    pub const SET_BITMAP: u32 = 2;
    /// Ties a doorbell to a byte of the bitmap.
    pub const DOORBELL_LINK: u32 = 3;
    /// Unties it.
    pub const DOORBELL_UNLINK: u32 = 4;
    /// Rings a doorbell.
    pub const DOORBELL_NOTIFY: u32 = 5;
    /// Wants to hear of an event.
    pub const EVENT_SUBSCRIBE: u32 = 8;
    /// Wants to hear of it no longer.
    pub const EVENT_UNSUBSCRIBE: u32 = 9;
}

/// What became of a datagram: zero or more for a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub i32);

impl Code {
    /// Done.
    pub const SUCCESS: Self = Self(0);
    /// There is no such resource.
    pub const INVALID_RESOURCE: Self = Self(-1);
    /// What is asked makes no sense.
    pub const INVALID_ARGUMENTS: Self = Self(-2);
    /// Not as many can be had.
    pub const NO_RESOURCES: Self = Self(-19);
    /// There is nothing like that.
    pub const NOT_FOUND: Self = Self(-21);
    /// There is one already.
    pub const ALREADY_EXISTS: Self = Self(-22);
    /// Nobody is there.
    pub const UNREACHABLE: Self = Self(-10);
    /// The datagram is too long.
    pub const TOO_LARGE: Self = Self(-11);
}

wire! {
    /// How a datagram begins.
    pub struct DatagramHeader: 24 {
        /// For whom it is.
        pub destination: WireHandle,
        /// From whom it is: all ones if no answer but the result is wanted.
        pub source: WireHandle,
        /// Bytes behind the header.
        pub payload_len: U64,
    }
}

wire! {
    /// Behind the header of a datagram to [`resource::QUERY`]; the resources follow.
    pub struct QueryHead: 8 {
        /// Resources.
        pub count: U32,
        /// Zero.
        pub reserved: U32,
    }
}

wire! {
    /// Behind the header of a datagram to [`resource::DOORBELL_LINK`].
    pub struct Link: 16 {
        /// The doorbell.
        pub handle: WireHandle,
        /// The byte.
        pub index: U64,
    }
}

/// What a datagram asks of the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Which of these resources there are: the answer has a bit for each in turn.
    Query(Queried),
    /// The guest's context.
    GetContext,
    /// The page of the notification bitmap.
    SetBitmap(u64),
    /// A doorbell is tied to a byte.
    Link(Handle, u64),
    /// It is untied.
    Unlink(Handle),
    /// It is rung.
    Notify(Handle),
    /// Something else.
    Other(u32),
}

/// The resources that a [`Service::Query`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queried {
    resources: [u32; MAX_QUERIED],
    count: usize,
}

impl Queried {
    /// The answer, if `exists` tells of a resource whether there is one.
    pub fn answer(&self, exists: impl Fn(u32) -> bool) -> Code {
        let resources = self.resources.iter().take(self.count);
        let bits = resources.enumerate().filter(|(_, one)| exists(**one));
        // At most 31 of them, so the sign stays out of it.
        Code(bits.fold(0, |bits, (bit, _)| bits | (1 << bit)))
    }
}

impl DatagramHeader {
    /// Bytes of the whole datagram, if there are that many.
    pub fn total_len(&self) -> Option<usize> {
        let payload = usize::try_from(self.payload_len.get()).ok()?;
        let total = payload.checked_add(HEADER_LEN)?;
        (total <= MAX_LEN).then_some(total)
    }
}

impl Service {
    /// What a whole datagram asks for. `wide` tells whether page numbers have 64 bits.
    ///
    /// # Errors
    ///
    /// The code that is the answer to a datagram that is for nobody, or too short.
    pub fn parse(datagram: &[u8], wide: bool) -> Result<Self, Code> {
        let (header, payload) =
            DatagramHeader::ref_from_prefix(datagram).map_err(|_| Code::INVALID_ARGUMENTS)?;
        let destination = Handle::from(header.destination);
        if destination.context != HYPERVISOR {
            return Err(Code::UNREACHABLE);
        }
        Ok(match destination.resource {
            resource::QUERY => Self::Query(queried(payload)?),
            resource::GET_CONTEXT => Self::GetContext,
            resource::SET_BITMAP if wide => Self::SetBitmap(head::<U64>(payload)?.get()),
            resource::SET_BITMAP => Self::SetBitmap(head::<U32>(payload)?.get().into()),
            resource::DOORBELL_LINK => {
                let link: Link = head(payload)?;
                Self::Link(link.handle.into(), link.index.get())
            }
            resource::DOORBELL_UNLINK => Self::Unlink(head::<WireHandle>(payload)?.into()),
            resource::DOORBELL_NOTIFY => Self::Notify(head::<WireHandle>(payload)?.into()),
            other => Self::Other(other),
        })
    }
}

fn head<T: FromBytes + KnownLayout + Immutable>(payload: &[u8]) -> Result<T, Code> {
    T::read_from_prefix(payload)
        .map(|(head, _)| head)
        .map_err(|_| Code::INVALID_ARGUMENTS)
}

fn queried(payload: &[u8]) -> Result<Queried, Code> {
    let count = head::<QueryHead>(payload)?.count.get() as usize;
    let list = payload.get(size_of::<QueryHead>()..).unwrap_or_default();
    let (list, _) =
        <[U32]>::ref_from_prefix_with_elems(list, count).map_err(|_| Code::INVALID_ARGUMENTS)?;
    if list.len() > MAX_QUERIED {
        return Err(Code::INVALID_ARGUMENTS);
    }
    let mut resources = [0; MAX_QUERIED];
    for (to, from) in resources.iter_mut().zip(list) {
        *to = from.get();
    }
    Ok(Queried { resources, count })
}

/// A datagram for the hypervisor, as a guest would send it: header and payload.
pub fn header<T: IntoBytes + Immutable>(resource: u32, _payload: &T) -> DatagramHeader {
    DatagramHeader {
        destination: Handle::new(HYPERVISOR, resource).into(),
        source: Handle::INVALID.into(),
        payload_len: U64::new(size_of::<T>() as u64),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn datagram<T: IntoBytes + Immutable>(resource: u32, payload: &T) -> Vec<u8> {
        let header = header(resource, payload);
        [header.as_bytes(), payload.as_bytes()].concat()
    }

    #[test]
    fn what_linux_asks_while_it_starts() {
        // One resource, the context: the answer has to be 1.
        let query = [1, 0, resource::GET_CONTEXT].map(U32::new);
        let query = Service::parse(&datagram(resource::QUERY, &query), true).unwrap();
        let known = |number| number == resource::GET_CONTEXT;
        let answer = match query {
            Service::Query(queried) => Some(queried.answer(known)),
            _ => None,
        };
        assert_eq!(answer, Some(Code(1)));
        let bitmap = datagram(resource::SET_BITMAP, &U64::new(0x1_0000_0002));
        assert_eq!(
            Service::parse(&bitmap, true),
            Ok(Service::SetBitmap(0x1_0000_0002))
        );
        assert_eq!(Service::parse(&bitmap, false), Ok(Service::SetBitmap(2)));
        let link = Link {
            handle: Handle::new(3, 4).into(),
            index: U64::new(5),
        };
        assert_eq!(
            Service::parse(&datagram(resource::DOORBELL_LINK, &link), true),
            Ok(Service::Link(Handle::new(3, 4), 5))
        );
    }

    #[test]
    fn what_is_for_others_or_too_short_is_an_error() {
        let mut elsewhere = datagram(resource::GET_CONTEXT, &());
        *elsewhere.first_mut().unwrap() = 2;
        assert_eq!(Service::parse(&elsewhere, true), Err(Code::UNREACHABLE));
        let short = datagram(resource::DOORBELL_LINK, &U64::new(0));
        assert_eq!(Service::parse(&short, true), Err(Code::INVALID_ARGUMENTS));
        let greedy = [u32::MAX, 0, 1].map(U32::new);
        let greedy = datagram(resource::QUERY, &greedy);
        assert_eq!(Service::parse(&greedy, true), Err(Code::INVALID_ARGUMENTS));
    }

    #[test]
    fn lengths_are_limited() {
        let mut header = header(0, &());
        assert_eq!(header.total_len(), Some(24));
        header.payload_len = U64::new(MAX_LEN as u64);
        assert_eq!(header.total_len(), None);
        header.payload_len = U64::new(u64::MAX);
        assert_eq!(header.total_len(), None);
    }

    proptest! {
        #[test]
        fn no_datagram_is_too_strange(bytes: Vec<u8>, resource in 0u32..20, wide: bool) {
            let mut datagram = datagram(resource, &());
            datagram.extend(&bytes);
            // Whatever it is, no more is named than may be.
            if let Ok(Service::Query(queried)) = Service::parse(&datagram, wide) {
                prop_assert!(queried.answer(|_| true).0 >= 0);
            }
            let known = Service::parse(&datagram, wide) != Ok(Service::Other(resource));
            prop_assert_eq!(known, resource <= 5);
        }
    }
}
