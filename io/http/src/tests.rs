//! Clients of all kinds, over the simulation's network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ottla_net::{MemoryNetwork, MemoryStream, Network, SocketOptions};
use ottla_rt::{Rt, Stopper, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const THERE: SocketAddr = SocketAddr::new(HERE, 80);

struct Hello;

impl Site for Hello {
    fn get(&self, path: &str) -> Option<BoxFuture<Answer>> {
        (path == "/hello").then(|| Box::pin(std::future::ready(Answer::text(Status::Ok, "hello\n"))) as BoxFuture<_>)
    }
}

/// Runs `test` with a server, its network and the runtime of its clients.
fn with_server<F: Future<Output = ()>>(test: impl FnOnce(MemoryNetwork, Rt) -> F) {
    let world = World::new(3).unwrap();
    let rt = world.process("http").rt();
    let network = MemoryNetwork::new(rt.clone());
    world.block_on(async {
        let options = SocketOptions { send_buffer_bytes: None, receive_buffer_bytes: None, backlog: 8 };
        let bound = Network::Memory(network.clone()).bind(THERE, options).unwrap();
        let stopper = Stopper::default();
        let server = serve(&rt, bound, Arc::new(Hello), stopper.listener());
        test(network, rt).await;
        stopper.stop();
        server.await.unwrap();
    });
}

async fn connect(network: &MemoryNetwork) -> MemoryStream {
    network.connect(HERE, THERE).await.unwrap()
}

/// All that comes until the server closes.
async fn rest(stream: &mut MemoryStream) -> String {
    let mut text = Vec::new();
    // A connection that is cut ends like one that is closed.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

async fn ask(network: &MemoryNetwork, request: &str) -> String {
    let mut stream = connect(network).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

const GET: &str = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn what_there_is_what_there_is_not_and_what_may_not_be_done() {
    with_server(|network, _| async move {
        let check = async |request: &str, status: &str, headers: &[&str], body: &str| {
            let answer = ask(&network, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
            assert!(headers.iter().all(|header| answer.contains(&format!("{header}\r\n"))), "{request}: {answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{request}: {answer}");
        };
        let plain = "content-type: text/plain; charset=utf-8";
        check(GET, "200 OK", &[plain, "content-length: 6", "connection: close"], "hello\n").await;
        check(&GET.replace("GET", "HEAD"), "200 OK", &[plain, "content-length: 6"], "").await;
        check(&GET.replace("GET", "POST"), "405 Method Not Allowed", &["allow: GET, HEAD"], "only GET and HEAD\n")
            .await;
        check(&GET.replace("hello", "x"), "404 Not Found", &[], "there is nothing here; see /\n").await;
        check(&GET.replace("/hello", "/hello?a=b"), "200 OK", &[], "hello\n").await;
        check("nonsense\r\n\r\n", "400 Bad Request", &[], "").await;
    });
}

#[test]
fn a_head_of_a_mebibyte_is_not_read_to_its_end() {
    with_server(|network, _| async move {
        let mut stream = connect(&network).await;
        let request = format!("GET /hello HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
        assert!(stream.write_all(request.as_bytes()).await.is_err(), "the server closes");
        let many: String = (0..1000).map(|n| format!("X-{n}: y\r\n")).collect();
        let answer = ask(&network, &GET.replace("\r\n\r\n", &format!("\r\n{many}\r\n"))).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    });
}

#[test]
fn half_a_request_is_waited_for_no_longer_than_the_limit() {
    with_server(|network, rt| async move {
        let mut stream = connect(&network).await;
        stream.write_all(&GET.as_bytes()[..20]).await.unwrap();
        let began_ms = rt.mono_ms();
        assert_eq!(rest(&mut stream).await, "");
        let limit_ms = LIMIT.as_millis() as i64;
        assert!((limit_ms..limit_ms + 1000).contains(&(rt.mono_ms() - began_ms)));
    });
}

#[test]
fn a_thousand_silent_connections_keep_nobody_out() {
    with_server(|network, rt| async move {
        let mut silent = Vec::new();
        for _ in 0..1000 {
            silent.push(connect(&network).await);
        }
        let began_ms = rt.mono_ms();
        assert!(ask(&network, GET).await.ends_with("hello\n"));
        assert!(rt.mono_ms() - began_ms < 1000);
        let mut first = silent.remove(0);
        assert_eq!(rest(&mut first).await, "", "it had to make way");
        assert!(rt.mono_ms() - began_ms < 1000);
        let mut last = silent.pop().unwrap();
        last.write_all(GET.as_bytes()).await.unwrap();
        assert!(rest(&mut last).await.ends_with("hello\n"), "it has its place still");
    });
}
