//! How the brokers are spoken to, made ready once for all connections.

use std::rc::Rc;

use crate::port::credentials::Credentials;
use crate::port::secrets_manager::SecretLogin;
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
    /// For `AWS_MSK_IAM`, and for a password in Secrets Manager.
    pub(super) aws: Option<AwsLogin>,
}

/// What AWS has to do with a login.
pub enum AwsLogin {
    /// It is a request that a role signs; the region is for brokers whose name holds none.
    Role { credentials: Credentials, region: String },
    /// Name and password are there.
    Secret(SecretLogin),
}

impl Security {
    /// The error is a line for the list of problems.
    pub fn new(settings: &KafkaSecurity, aws: Option<AwsLogin>) -> Result<Security, String> {
        let login = settings.login.clone().map(|mechanism| Rc::new(Login { mechanism, aws }));
        Ok(Security { tls: settings.tls.as_ref().map(Tls::new).transpose()?, login })
    }
}
