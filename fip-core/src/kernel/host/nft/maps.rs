//! The table's maps, searched.

use std::io;

use crate::nat::{Key, Maps, TABLE, Value};

use super::super::inside;
use super::super::message::Message;
use super::table::{self, INET, msg};
use super::{NftSocket, element, open_socket};

impl Maps for NftSocket {
    type Error = io::Error;

    fn get(&mut self, key: &Key) -> io::Result<Option<Value>> {
        let request = element::request(key);
        let found = self.socket.get(request, |reply: Message| {
            element::read(key.map(), &reply).into_iter().find(|(found, _)| found == key)
        })?;
        Ok(found.map(|(_, value)| value))
    }

    /// A map that another program has taken away has no elements.
    fn visit(
        &mut self,
        map: &'static str,
        each: &mut dyn FnMut(Key, Value) -> bool,
    ) -> io::Result<()> {
        let mut scout = match self.scout.take() {
            Some(scout) => scout,
            None => inside(self.netns.as_ref(), open_socket).map_err(io::Error::other)?,
        };
        let request = table::message(msg::GETSETELEM, INET, TABLE).with(|w| _ = w.text(2, map));
        let outcome = scout.search(request, |reply: Message| {
            element::read(map, &reply).into_iter().all(|(key, value)| each(key, value))
        });
        match outcome {
            // What the kernel has not told yet goes with the socket.
            Ok(false) => Ok(()),
            Ok(true) => {
                self.scout = Some(scout);
                Ok(())
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
