//! The front's side of SRT: starts and supervises the gateway, admits its callers at the door, feeds their channels.
//!
//! libsrt is in another process, `headend-srt` ([`crate::wire::link::gateway`]). When that is lost, every SRT feed ends and the gateway
//! is started anew at the same ports; callers come back by themselves.

mod call;
mod caller;
mod config;
mod gateway;
mod refusals;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use config::{GatewayProgram, NewReader, SrtCall, SrtConfig, SrtError, SrtListener, TransportReader};

use self::gateway::Gateway;
use self::session::{Session, doors_of, stopped};
use crate::base::backoff::Backoff;
use crate::base::clock;
use crate::channel::feed::Door;
use crate::wire::link::gateway::Listen;

/// The value of the `protocol` label.
const PROTOCOL: &str = "srt";
/// A gateway that has run so long starts over with the shortest wait.
const STEADY: Duration = Duration::from_secs(30);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An open SRT side: its ports are there, nobody is admitted yet.
#[derive(Debug)]
pub struct SrtServer {
    config: SrtConfig,
    door: Arc<dyn Door>,
    gateway: Gateway,
    addresses: Vec<SocketAddr>,
    following: Following,
}

/// What may change while it serves.
#[derive(Clone, Debug)]
struct Following {
    /// The calls that it keeps up.
    calls: watch::Receiver<Vec<SrtCall>>,
    /// Turns true when nobody new is to be let in; it ends with the last caller.
    retire: watch::Receiver<bool>,
}

impl Following {
    /// Nobody new is to be let in.
    fn is_retired(&self) -> bool {
        *self.retire.borrow()
    }

    /// The calls to keep up from now on, where they are others. Whoever retires the gateway keeps no sender, and wants none.
    fn changed_calls(&mut self) -> Option<Vec<SrtCall>> {
        if self.is_retired() {
            return Some(Vec::new());
        }
        // The sender may be gone: then they stay as they are.
        self.calls.has_changed().unwrap_or(false).then(|| self.calls.borrow_and_update().clone())
    }
}

impl SrtServer {
    /// Starts the gateway and opens every port.
    pub async fn open(config: SrtConfig, door: Arc<dyn Door>) -> Result<SrtServer, SrtError> {
        let wished: Vec<SocketAddr> = config.listeners.iter().map(|listener| listener.address).collect();
        let (gateway, addresses) = open_gateway(&config, &wished, &door).await?;
        let following = Following { calls: watch::channel(config.calls.clone()).1, retire: watch::channel(false).1 };
        Ok(SrtServer { config, door, gateway, addresses, following })
    }

    /// The calls that it keeps up are those of `calls`, which may change. When `retire` turns true nobody new is let in: callers that are
    /// there go on, and it ends with the last one.
    pub fn following(self, calls: watch::Receiver<Vec<SrtCall>>, retire: watch::Receiver<bool>) -> SrtServer {
        SrtServer { following: Following { calls, retire }, ..self }
    }

    /// The addresses of the listeners, in the order of the configuration, with the ports that they got.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The gateway's process id.
    pub fn gateway_id(&self) -> Option<u32> {
        self.gateway.process_id()
    }

    /// Serves until `stop` turns true or its sender is gone, then closes all connections and returns.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let SrtServer { config, door, gateway, addresses, following } = self;
        let config = Arc::new(config);
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut gateway = Some(gateway);
        loop {
            let started = clock::mono();
            let ended = match gateway.take() {
                Some(gateway) => Ok(gateway),
                // Port 0 has become a port by now, which callers know.
                None => open_gateway(&config, &addresses, &door).await.map(|(gateway, _)| gateway),
            };
            let cause = match ended {
                Ok(gateway) => {
                    match Session::new(gateway, Arc::clone(&config), Arc::clone(&door), stop.clone(), following.clone()).run().await {
                        Ok(()) => return,
                        Err(cause) => cause,
                    }
                }
                Err(cause) => cause,
            };
            if clock::mono().since(started) > STEADY {
                backoff.succeeded();
            }
            let wait = backoff.failed();
            tracing::error!(
                fault = cause.fault().label(),
                %cause,
                wait_ms = wait.as_millis() as u64,
                "SRT gateway lost: every SRT feed has ended; it is started anew and callers that connect again are taken back"
            );
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// [`SrtServer::open`] and [`SrtServer::serve`] in one, for those who need no addresses.
pub async fn serve_srt(config: SrtConfig, door: Arc<dyn Door>, stop: watch::Receiver<bool>) -> Result<(), SrtError> {
    SrtServer::open(config, door).await?.serve(stop).await;
    Ok(())
}

async fn open_gateway(config: &SrtConfig, addresses: &[SocketAddr], door: &Arc<dyn Door>) -> Result<(Gateway, Vec<SocketAddr>), SrtError> {
    let listeners = config.listeners.iter().zip(addresses).zip(0..).map(|((listener, address), number)| Listen {
        listener: number,
        address: *address,
        options: listener.options.clone(),
        default_stream: listener.default_stream.clone(),
    });
    Gateway::open(&config.program, listeners.collect(), config.callers, doors_of(&door.table())).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::gateway::{Options, Secret};

    #[test]
    fn a_retired_gateway_has_no_calls_though_nobody_is_there_to_say_so() {
        let call = |key: &str| SrtCall {
            key: Secret::new(key),
            remote: "cam.example:9000".into(),
            rendezvous: None,
            stream_id: None,
            security: None,
            options: Options::default(),
        };
        let (calls, following) = watch::channel(vec![call("a")]);
        let (retire, retired) = watch::channel(false);
        let mut following = Following { calls: following, retire: retired };
        following.calls.mark_unchanged();
        assert_eq!(following.changed_calls(), None);
        calls.send_replace(vec![call("b")]);
        assert_eq!(following.changed_calls(), Some(vec![call("b")]));
        // As the application retires it.
        calls.send_replace(Vec::new());
        drop(calls);
        assert_eq!(following.clone().changed_calls(), None, "a sender that is gone changes nothing");
        retire.send_replace(true);
        drop(retire);
        assert_eq!(following.changed_calls(), Some(Vec::new()));
    }
}
