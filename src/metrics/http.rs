//! One connection: as much of HTTP/1.1 (RFC 9112) as it takes to ask for a page.

use std::{io, time::Duration};

use httparse::{EMPTY_HEADER, Header, Request, Status};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::text::CONTENT_TYPE;

/// Bytes of a request, at the most.
const LONGEST: usize = 8 << 10;
/// Header fields of a request, at the most.
const FIELDS: usize = 64;
/// How long a client may take to ask, and to read what it is answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client that is turned away may go on sending.
const PARTING: Duration = Duration::from_secs(1);

/// Where the metrics are.
const PATH: &str = "/metrics";

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    what: What,
    /// Whether the page itself is wanted, not only what is told of it.
    body: bool,
    /// Whether the client may ask for more afterwards.
    stays: bool,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Metrics,
    Front,
    Missing,
    WrongMethod,
    /// It is no request, or has more to it than a page needs.
    Malformed,
    TooLong,
    Late,
}

impl Asked {
    fn refused(what: What) -> Self {
        Self {
            what,
            body: true,
            stays: false,
        }
    }
}

/// Answers a client's requests until it leaves, or takes too long.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    page: impl Fn() -> String,
) -> io::Result<()> {
    let mut input = Vec::new();
    loop {
        let asked = match timeout(PATIENCE, ask(&mut stream, &mut input)).await {
            Ok(Ok(Some(asked))) => asked,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            // It may be quiet between two requests.
            Err(_) if input.is_empty() => return Ok(()),
            Err(_) => Asked::refused(What::Late),
        };
        let answer = answer(&asked, &page);
        timeout(PATIENCE, stream.write_all(&answer))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if !asked.stays {
            return part(stream).await;
        }
    }
}

/// Takes the next request off the input; `None` where the client has left.
async fn ask(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
) -> io::Result<Option<Asked>> {
    loop {
        if let Some((length, asked)) = parse(input) {
            input.drain(..length);
            return Ok(Some(asked));
        }
        if input.len() >= LONGEST {
            return Ok(Some(Asked::refused(What::TooLong)));
        }
        let mut bytes = [0; 1 << 10];
        match stream.read(&mut bytes).await? {
            0 => return Ok(None),
            count => input.extend_from_slice(&bytes[..count]),
        }
    }
}

/// A request, and its length, if it is whole.
fn parse(input: &[u8]) -> Option<(usize, Asked)> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(input) {
        Ok(Status::Partial) => None,
        Ok(Status::Complete(length)) => Some((length, understand(&request))),
        Err(httparse::Error::TooManyHeaders) => Some((input.len(), Asked::refused(What::TooLong))),
        Err(_) => Some((input.len(), Asked::refused(What::Malformed))),
    }
}

fn understand(request: &Request<'_, '_>) -> Asked {
    if request.headers.iter().any(announces_body) {
        return Asked::refused(What::Malformed);
    }
    let body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Asked::refused(What::WrongMethod),
    };
    let target = request.path.unwrap_or_default();
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Asked {
        what: match path {
            PATH => What::Metrics,
            "/" => What::Front,
            _ => What::Missing,
        },
        body,
        stays: request.version == Some(1) && !request.headers.iter().any(closes),
    }
}

fn announces_body(field: &Header<'_>) -> bool {
    let transfer = field.name.eq_ignore_ascii_case("transfer-encoding");
    let length = field.name.eq_ignore_ascii_case("content-length");
    transfer || length && field.value.trim_ascii() != b"0"
}

fn closes(field: &Header<'_>) -> bool {
    let mut words = field.value.split(|byte| *byte == b',');
    field.name.eq_ignore_ascii_case("connection")
        && words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// The whole answer, as it is sent.
fn answer(asked: &Asked, page: impl Fn() -> String) -> Vec<u8> {
    let plain = "text/plain; charset=utf-8";
    let (status, kind, text) = match asked.what {
        What::Metrics => ("200 OK", CONTENT_TYPE, page()),
        What::Front => (
            "200 OK",
            plain,
            format!("usbwright's metrics are at {PATH}\n"),
        ),
        What::Missing => ("404 Not Found", plain, format!("there is {PATH} alone\n")),
        What::WrongMethod => (
            "405 Method Not Allowed",
            plain,
            "use GET or HEAD\n".to_owned(),
        ),
        What::Malformed => (
            "400 Bad Request",
            plain,
            "this is no request for a page\n".to_owned(),
        ),
        What::TooLong => (
            "431 Request Header Fields Too Large",
            plain,
            format!("a request has up to {LONGEST} bytes and {FIELDS} fields\n"),
        ),
        What::Late => (
            "408 Request Timeout",
            plain,
            format!("the request took over {} s\n", PATIENCE.as_secs()),
        ),
    };
    let length = text.len();
    let allow = match asked.what {
        What::WrongMethod => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    let connection = if asked.stays { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: {connection}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    if asked.body {
        answer.extend_from_slice(text.as_bytes());
    }
    answer
}

/// Closes a connection so that the client can read the answer first, whatever it has sent besides.
async fn part(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.shutdown().await?;
    let drained = async {
        let mut bytes = [0; 1 << 10];
        while stream.read(&mut bytes).await? > 0 {}
        Ok(())
    };
    timeout(PARTING, drained).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client is answered that sends this and then nothing more.
    fn answered(sent: &[u8]) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(64 << 10);
            client.write_all(sent).await.unwrap();
            client.shutdown().await.unwrap();
            serve(server, || "a 1\n".to_owned()).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        })
    }

    #[test]
    fn a_page_is_answered_with_its_length_and_type() {
        let answer = answered(b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(
            answer,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: 4\r\nConnection: keep-alive\r\n\r\na 1\n"
        );
    }

    #[test]
    fn a_client_may_ask_again_and_ask_for_no_more_than_the_head() {
        let answer = answered(
            b"HEAD /metrics HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\nConnection: TE, Close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        );
        assert_eq!(answer.matches("200 OK").count(), 3, "{answer}");
        assert!(
            answer.ends_with("Connection: close\r\n\r\na 1\n"),
            "{answer}"
        );
        assert_eq!(answer.matches("a 1\n").count(), 1, "{answer}");
        let old = answered(b"GET /metrics HTTP/1.0\r\n\r\nGET /metrics HTTP/1.0\r\n\r\n");
        assert_eq!(old.matches("200 OK").count(), 1, "{old}");
    }

    #[test]
    fn what_is_no_request_for_a_page_is_refused_and_the_connection_closed() {
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9000));
        for (sent, status) in [
            ("GET /other HTTP/1.1\r\nConnection: close\r\n\r\n", "404 "),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405 "),
            (
                "GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
                "400 ",
            ),
            (
                "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "400 ",
            ),
            ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n", "400 "),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 "),
            (&many, "431 "),
            (&long, "431 "),
        ] {
            let answer = answered(sent.as_bytes());
            let begins = answer.starts_with(&format!("HTTP/1.1 {status}"));
            assert!(begins, "{sent:.40}: {answer}");
            assert!(answer.contains("Connection: close\r\n"), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
    }

    #[test]
    fn a_client_that_asks_for_nothing_is_answered_nothing() {
        assert_eq!(answered(b""), "");
        assert_eq!(answered(b"GET /metrics HT"), "");
    }
}
