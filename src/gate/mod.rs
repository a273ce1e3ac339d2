//! The proxy itself: the only room that knows pingora.

pub mod conn;
pub mod door;
pub mod linger;
pub mod phases;
pub mod refusal;
pub mod store;

use std::{sync::Arc, time::Duration};
use pingora::{
    apps::HttpServerOptions,
    connectors::ConnectorOptions,
    listeners::ListenerConfig,
    proxy::ProxyServiceBuilder,
    server::{Server, configuration::ServerConf},
    protocols::l4::stream::L4BufferSettings,
};

/// proto
pub fn run(listen: &str, store_port: u16) -> ! {
    let conf = ServerConf { threads: 1, work_stealing: true, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let address = store::StoreAddress {
        host: "127.0.0.1".into(), port: store_port, tls: false, server_name: String::new(),
        connect_timeout: Duration::from_secs(5), response_timeout: Duration::from_secs(120), idle_timeout: Duration::from_secs(60),
    };
    let shared = Arc::new(phases::Shared {
        door: door::DoorLimits {
            head: crate::http1::head::HeadLimits { bytes: 65536, fields: 200 },
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            linger: linger::Linger { bytes: 128 << 20, time: Duration::from_secs(30) },
            continue_timeout: Duration::from_millis(200),
        },
        metrics: phases::Metrics,
        peer: address.peer(),
    });
    let connector = store::StoreConnector::new(address, ConnectorOptions::new(1024));
    let mut options = HttpServerOptions::default();
    options.force_custom = true;
    let gate = Arc::clone(&shared);
    let mut service = ProxyServiceBuilder::new(&server.configuration, phases::Gate(shared))
        .server_options(options)
        .custom(connector, Arc::new(move |proxy, stream, shutdown: &pingora::server::ShutdownWatch| {
            let (gate, shutdown) = (Arc::clone(&gate), shutdown.clone());
            Box::pin(async move { door::serve(proxy, gate, stream, shutdown).await; None })
        }))
        .build();
    service.add_listener(ListenerConfig::tcp(listen).l4_buffer(L4BufferSettings::new(0, 16 * 1024)));
    server.add_service(service);
    server.run_forever()
}
