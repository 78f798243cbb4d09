//! How the brokers are spoken to, made ready once for all connections.

use std::rc::Rc;

use crate::port::credentials::Credentials;
use crate::port::tls::Tls;
use crate::settings::{KafkaSecurity, SaslMechanism};

/// The default is plaintext, without a login. A clone shares it.
#[derive(Clone, Default)]
pub struct Security {
    pub(super) tls: Option<Tls>,
    pub(super) login: Option<Rc<Login>>,
}

/// Who we are for the brokers.
pub(super) struct Login {
    pub(super) mechanism: SaslMechanism,
    /// For `AWS_MSK_IAM`.
    pub(super) aws: Option<AwsLogin>,
}

/// Who we are for AWS.
pub struct AwsLogin {
    pub credentials: Credentials,
    /// For brokers whose name holds none.
    pub region: String,
}

impl Security {
    /// The error is a line for the list of problems.
    pub fn new(settings: &KafkaSecurity, aws: Option<AwsLogin>) -> Result<Security, String> {
        let login = settings.login.clone().map(|mechanism| Rc::new(Login { mechanism, aws }));
        Ok(Security { tls: settings.tls.as_ref().map(Tls::new).transpose()?, login })
    }
}
