// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A client of the control socket: one connection for one request.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// Most bytes of an answer that are read; counters of thousands of disks are a
/// few megabytes.
const MAX_ANSWER: u64 = 64 << 20;

/// Where requests go.
pub struct Client {
    /// The socket.
    pub path: PathBuf,
    /// How long a single wait may take.
    pub timeout: Duration,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Client {
    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being sent or answered; `InvalidData` if the
    /// answer is none.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Reply> {
        let mut stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut bytes)?;
        parse(&bytes).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the answer is not one of hospes",
            )
        })
    }
}

fn parse(bytes: &[u8]) -> Option<Reply> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).ok()? else {
        return None;
    };
    let status = response.code?;
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let length: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
    let body = bytes.get(head..head.checked_add(length)?)?;
    let body = serde_json::from_slice(body).ok()?;
    Some(Reply { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::http::{Answer, Status};
    use crate::control::server::Server;
    use proptest::prelude::*;
    use serde_json::json;
    use vmm_sys_util::tempdir::TempDir;

    #[test]
    fn requests_and_answers_go_through() {
        let directory = TempDir::new().unwrap();
        let client = Client {
            path: directory.as_path().join("socket"),
            timeout: Duration::from_secs(60),
        };
        assert!(client.request("GET", "/", None).is_err());
        let service = |request: &crate::control::http::Request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            Answer::new(Status::CREATED, json!([request.method, request.path, body]))
        };
        let _server = Server::start(&client.path, Box::new(service)).unwrap();
        let body = json!({"a": 1});
        let reply = client.request("POST", "/x", Some(&body)).unwrap();
        assert_eq!(reply.status, 201);
        assert_eq!(reply.body, json!(["POST", "/x", {"a": 1}]));
        assert_eq!(
            client.request("GET", "/", None).unwrap().body[2],
            Value::Null
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn an_answer_that_is_cut_is_none(cut in 0usize..1000) {
            let bytes = Answer::new(Status::OK, json!({"a": "b"})).encode(true);
            prop_assert!(parse(&bytes[..cut.min(bytes.len() - 1)]).is_none());
            prop_assert!(parse(&bytes).is_some());
        }
    }
}
