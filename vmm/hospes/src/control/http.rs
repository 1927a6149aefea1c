// SPDX-License-Identifier: GPL-2.0 OR MIT

//! HTTP/1.1 as far as the control socket needs it: one request out of bytes,
//! one answer into bytes.
//!
//! Bodies have a `Content-Length`. A request that breaks a limit or a rule is
//! answered with an error, and the connection ends: where the next request
//! would begin is not known then.

use serde_json::{json, Value};

use crate::refusal::{Reason, Refusal};

/// Most bytes of a request line with its headers.
pub const MAX_HEAD: usize = 8 << 10;

/// Most bytes of a body.
pub const MAX_BODY: usize = 64 << 10;

/// Most headers.
const MAX_HEADERS: usize = 32;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What follows the question mark; empty without.
    pub query: String,
    /// The body.
    pub body: Vec<u8>,
    /// The client wants no further answer on this connection.
    pub close: bool,
}

/// What bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a request.
    Incomplete,
    /// A request, of so many bytes.
    Request(Request, usize),
    /// None that is answered with anything but this error.
    Bad(Answer),
}

/// The status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// Done.
    pub const OK: Self = Self(200);
    /// Done; there is something new.
    pub const CREATED: Self = Self(201);
    /// Begun.
    pub const ACCEPTED: Self = Self(202);
    /// The request makes no sense.
    pub const BAD_REQUEST: Self = Self(400);
    /// It is about nothing that exists.
    pub const NOT_FOUND: Self = Self(404);
    /// Nothing of the kind can be done to it.
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// The client was too slow.
    pub const TIMEOUT: Self = Self(408);
    /// Not at this time.
    pub const CONFLICT: Self = Self(409);
    /// The body is too large.
    pub const TOO_LARGE: Self = Self(413);
    /// The head is too large.
    pub const HEAD_TOO_LARGE: Self = Self(431);
    /// The host failed.
    pub const FAILED: Self = Self(500);
    /// A part of HTTP that is not there.
    pub const NOT_IMPLEMENTED: Self = Self(501);

    fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            413 => "Content Too Large",
            431 => "Request Header Fields Too Large",
            501 => "Not Implemented",
            _ => "Internal Server Error",
        }
    }
}

/// An answer, whose body is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: Status,
    /// The body.
    pub body: Value,
    /// Methods that the path has, if the request had another.
    pub allow: Option<String>,
}

impl Answer {
    /// An answer with a body.
    pub fn new(status: Status, body: Value) -> Self {
        Self {
            status,
            body,
            allow: None,
        }
    }

    /// An error; the text says what is wrong.
    pub fn error(status: Status, text: impl ToString) -> Self {
        Self::new(status, json!({ "error": text.to_string() }))
    }

    /// The bytes that are sent.
    pub fn encode(&self, close: bool) -> Vec<u8> {
        let body = self.body.to_string();
        let mut text = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            self.status.0,
            self.status.reason(),
            body.len().saturating_add(1),
        );
        if let Some(methods) = &self.allow {
            text.push_str(&format!("Allow: {methods}\r\n"));
        }
        if close {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        text.push_str(&body);
        // For those who read it in a terminal.
        text.push('\n');
        text.into_bytes()
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.reason {
            Reason::Invalid => Status::BAD_REQUEST,
            Reason::Unknown => Status::NOT_FOUND,
            Reason::Conflict => Status::CONFLICT,
            Reason::Failed => Status::FAILED,
        };
        Self::error(status, refusal.text)
    }
}

/// Looks for a request at the beginning of `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed {
    let head = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(len)) => complete(&request, bytes, len),
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => Parsed::Incomplete,
        Ok(httparse::Status::Partial) => Parsed::Bad(Answer::error(
            Status::HEAD_TOO_LARGE,
            format!("request line and headers have more than {MAX_HEAD} bytes"),
        )),
        Err(httparse::Error::TooManyHeaders) => Parsed::Bad(Answer::error(
            Status::HEAD_TOO_LARGE,
            format!("there are more than {MAX_HEADERS} headers"),
        )),
        Err(error) => Parsed::Bad(Answer::error(
            Status::BAD_REQUEST,
            format!("this is no HTTP request: {error}"),
        )),
    }
}

/// A request whose head has `head` bytes.
fn complete(request: &httparse::Request<'_, '_>, bytes: &[u8], head: usize) -> Parsed {
    let length = match body_length(request.headers) {
        Ok(length) => length,
        Err(answer) => return Parsed::Bad(answer),
    };
    let end = head.saturating_add(length);
    let Some(body) = bytes.get(head..end) else {
        return Parsed::Incomplete;
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let wants = |text: &str| has_token(request.headers, "connection", text);
    let close = match request.version {
        Some(1) => wants("close"),
        _ => !wants("keep-alive"),
    };
    let request = Request {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: body.to_vec(),
        close,
    };
    Parsed::Request(request, end)
}

/// How long the body is; no two headers may disagree about that.
fn body_length(headers: &[httparse::Header<'_>]) -> Result<usize, Answer> {
    let mut length = None;
    for header in headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Answer::error(
                Status::NOT_IMPLEMENTED,
                "Transfer-Encoding is not supported; send a Content-Length",
            ));
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = parse_length(header.value)?;
            if length.is_some_and(|length| length != value) {
                let text = "there are two different headers Content-Length";
                return Err(Answer::error(Status::BAD_REQUEST, text));
            }
            length = Some(value);
        }
    }
    Ok(length.unwrap_or(0))
}

fn parse_length(value: &[u8]) -> Result<usize, Answer> {
    let text = String::from_utf8_lossy(value);
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        let text = format!("Content-Length: {text} is no number");
        return Err(Answer::error(Status::BAD_REQUEST, text));
    }
    match text.parse() {
        Ok(length) if length <= MAX_BODY => Ok(length),
        _ => Err(Answer::error(
            Status::TOO_LARGE,
            format!("Content-Length: {text} is more than {MAX_BODY}"),
        )),
    }
}

/// Whether a header with a list has `token` in it.
fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    let named = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name));
    named.into_iter().any(|header| {
        String::from_utf8_lossy(header.value)
            .split(',')
            .any(|word| word.trim().eq_ignore_ascii_case(token))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(bytes: &[u8]) -> u16 {
        match parse(bytes) {
            Parsed::Bad(answer) => answer.status.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_has_method_path_query_and_body() {
        let bytes = b"PUT /a/b?c=d HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabcGET";
        let Parsed::Request(request, len) = parse(bytes) else {
            panic!("no request");
        };
        assert_eq!(len, bytes.len() - 3);
        assert_eq!(
            request,
            Request {
                method: "PUT".to_owned(),
                path: "/a/b".to_owned(),
                query: "c=d".to_owned(),
                body: b"abc".to_vec(),
                close: false,
            }
        );
    }

    #[test]
    fn connections_end_when_the_client_says_so() {
        for (text, close) in [
            ("GET / HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", true),
            ("GET / HTTP/1.0\r\n\r\n", true),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false),
        ] {
            let Parsed::Request(request, _) = parse(text.as_bytes()) else {
                panic!("no request");
            };
            assert_eq!(request.close, close, "{text}");
        }
    }

    #[test]
    fn limits_and_nonsense_have_their_status() {
        assert_eq!(status(&[b'a'; MAX_HEAD]), 431);
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        assert_eq!(
            status(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()),
            431
        );
        for (header, code) in [
            ("Content-Length: 65537", 413),
            ("Content-Length: 99999999999999999999999", 413),
            ("Content-Length: -1", 400),
            ("Content-Length: +1", 400),
            ("Content-Length: ", 400),
            ("Content-Length: 1\r\nContent-Length: 2", 400),
            ("Transfer-Encoding: chunked", 501),
        ] {
            let text = format!("POST / HTTP/1.1\r\n{header}\r\n\r\n");
            assert_eq!(status(text.as_bytes()), code, "{header}");
        }
        assert_eq!(status(b"\x00\x01"), 400);
    }

    #[test]
    fn answers_say_how_long_they_are() {
        let answer = Answer::error(Status::CONFLICT, "no");
        let text = String::from_utf8(answer.encode(true)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 409 Conflict\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert!(head.ends_with("Connection: close"), "{head}");
        assert_eq!(body, "{\"error\":\"no\"}\n");
    }

    proptest! {
        /// No bytes do harm, and a request is never longer than its bytes.
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Parsed::Request(_, len) = parse(&bytes) {
                prop_assert!(len <= bytes.len());
            }
        }

        /// A request that comes in parts is the one that came at once.
        #[test]
        fn parts_make_the_whole(
            body in prop::collection::vec(any::<u8>(), 0..40), cut in 0usize..200,
        ) {
            let mut bytes = format!("POST /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len())
                .into_bytes();
            bytes.extend(&body);
            let part = &bytes[..cut.min(bytes.len() - 1)];
            prop_assert_eq!(parse(part), Parsed::Incomplete);
            let Parsed::Request(request, len) = parse(&bytes) else {
                panic!("no request");
            };
            prop_assert_eq!((request.body, len), (body, bytes.len()));
        }
    }
}
