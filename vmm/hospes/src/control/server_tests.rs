// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::io::BufRead;

use serde_json::json;
use vmm_sys_util::tempdir::TempDir;

use super::*;

/// A server that echoes, in a directory of its own.
fn server() -> (TempDir, PathBuf, Server) {
    let directory = TempDir::new().unwrap();
    let path = directory.as_path().join("socket");
    let server = Server::start(&path, Box::new(echo)).unwrap();
    (directory, path, server)
}

fn echo(request: &Request) -> Answer {
    let body = json!({"path": request.path, "len": request.body.len()});
    match request.path.as_str() {
        "/long" => Answer::new(Status::OK, "x".repeat(4 << 20).into()),
        _ => Answer::new(Status::OK, body),
    }
}

fn receive(reader: &mut impl BufRead) -> (String, Vec<u8>) {
    let (mut status, mut line, mut len) = (String::new(), String::new(), 0);
    reader.read_line(&mut status).unwrap();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            len = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).unwrap();
    (status.trim().to_owned(), body)
}

#[test]
fn a_connection_serves_many_requests_and_parts_of_them() {
    let (_directory, path, _server) = server();
    let mut stream = UnixStream::connect(path).unwrap();
    let mut reader = io::BufReader::new(stream.try_clone().unwrap());
    for byte in b"GET /a HTTP/1.1\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(
        receive(&mut reader).1,
        b"{\"len\":0,\"path\":\"/a\"}\n".to_vec()
    );
    let both = b"GET /b HTTP/1.1\r\n\r\nPUT /c HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
    stream.write_all(both).unwrap();
    assert_eq!(
        receive(&mut reader).1,
        b"{\"len\":0,\"path\":\"/b\"}\n".to_vec()
    );
    assert_eq!(
        receive(&mut reader).1,
        b"{\"len\":2,\"path\":\"/c\"}\n".to_vec()
    );
}

#[test]
fn nonsense_is_answered_and_ends_the_connection() {
    let (_directory, path, _server) = server();
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(b"\x00nonsense\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
}

#[test]
fn a_client_that_sends_no_more_gets_its_answer() {
    let (_directory, path, _server) = server();
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\n\r\nGET").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("{\"len\":0,\"path\":\"/a\"}\n"), "{text}");
}

#[test]
fn nobody_waits_for_clients_that_do_not_go_on() {
    let (_directory, path, _server) = server();
    let connect = || UnixStream::connect(&path).unwrap();
    // Half a request each, and one that takes no answer.
    let mut idle: Vec<_> = (0..MAX_CONNECTIONS * 2).map(|_| connect()).collect();
    for stream in &mut idle {
        // Those that had to give way are closed already.
        let _ = stream.write_all(b"GET /a HTTP/1.1\r\n");
    }
    let mut deaf = connect();
    deaf.write_all(b"GET /long HTTP/1.1\r\n\r\n").unwrap();
    let mut stream = connect();
    stream.write_all(b"GET /a HTTP/1.1\r\n\r\n").unwrap();
    let (status, _) = receive(&mut io::BufReader::new(stream));
    assert_eq!(status, "HTTP/1.1 200 OK");
    let (_, body) = receive(&mut io::BufReader::new(deaf));
    assert_eq!(body.len(), (4 << 20) + 3, "a long answer comes in parts");
}

#[test]
fn late_connections_are_told_from_busy_ones() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut connection = Connection::new(near);
    assert!(!connection.late());
    connection.since -= PATIENCE * 2;
    assert!(!connection.late(), "it may wait longer between requests");
    connection.input.push(b'G');
    assert!(connection.late());
    drop(connection);
    let mut text = String::new();
    far.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
}

#[test]
fn only_an_abandoned_socket_is_replaced() {
    let (directory, path, server) = server();
    let second = Server::start(&path, Box::new(echo));
    assert_eq!(second.err().unwrap().kind(), ErrorKind::AddrInUse);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, MODE);
    drop(server);
    assert!(!path.exists());
    drop(UnixListener::bind(&path).unwrap());
    drop(Server::start(&path, Box::new(echo)).unwrap());
    let file = directory.as_path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(Server::start(&file, Box::new(echo)).is_err());
    assert_eq!(fs::read(&file).unwrap(), b"x");
}
