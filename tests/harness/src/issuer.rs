//! An OAuth issuer of the tests: it publishes keys over HTTPS, and signs what it is told to.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use ring::{hmac, signature};
use serde_json::{Value, json};

use crate::rogue::{Authority, Piece, Rogue};
use crate::values::with;

/// Below which its metadata and keys are.
const REALM: &str = "/realms/lab";
const KEYS: &str = "/realms/lab/keys";

/// A running issuer; it ends when this is dropped.
pub struct Issuer {
    /// As its tokens name it.
    pub name: String,
    /// The certificate authority to trust.
    pub ca_file: PathBuf,
    authority: Arc<Authority>,
    server: Option<Rogue>,
    port: u16,
    published: Arc<Mutex<Published>>,
}

/// What it answers.
struct Published {
    metadata: Value,
    keys: Vec<Value>,
    /// An answer in the place of the keys, as it is sent.
    instead: Option<String>,
    /// How often the keys were fetched.
    fetched: usize,
}

/// A key that signs tokens.
pub struct SigningKey {
    kid: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key for ES256.
    pub fn es256(kid: &str) -> anyhow::Result<Self> {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .and_then(|key| Ok(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random)?));
        Ok(Self {
            kid: kid.to_owned(),
            pair: Pair::Es256(key.map_err(|_| anyhow!("no key could be made"))?),
        })
    }

    /// A new key for EdDSA.
    pub fn ed25519(kid: &str) -> anyhow::Result<Self> {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .and_then(|key| Ok(Ed25519KeyPair::from_pkcs8(key.as_ref())?));
        Ok(Self {
            kid: kid.to_owned(),
            pair: Pair::Ed25519(key.map_err(|_| anyhow!("no key could be made"))?),
        })
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        self.sign_with(json!({}), claims)
    }

    /// The same, with these parameters in its header.
    pub fn sign_with(&self, header: Value, claims: &Value) -> anyhow::Result<String> {
        let own = json!({ "alg": self.algorithm(), "typ": "at+jwt", "kid": self.kid });
        let text = signed_part(&with(&own, header), claims);
        let signature = match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), text.as_bytes());
                signature.map_err(|_| anyhow!("nothing could be signed"))?
            }
            Pair::Ed25519(pair) => pair.sign(text.as_bytes()),
        };
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// A token that takes the public key for a secret (HS256).
    pub fn misuse(&self, claims: &Value) -> String {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": self.kid });
        let text = signed_part(&header, claims);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.public());
        let signature = hmac::sign(&secret, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Es256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Es256(pair) => signature::KeyPair::public_key(pair).as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    /// The public key, as issuers publish it.
    fn published(&self) -> Value {
        let encode = |bytes: Option<&[u8]>| URL_SAFE_NO_PAD.encode(bytes.unwrap_or_default());
        let public = self.public();
        let key = match self.pair {
            // A point: 4, x and y.
            Pair::Es256(_) => json!({
                "kty": "EC", "crv": "P-256",
                "x": encode(public.get(1..33)), "y": encode(public.get(33..)),
            }),
            Pair::Ed25519(_) => json!({
                "kty": "OKP", "crv": "Ed25519", "x": encode(Some(public)),
            }),
        };
        let common = json!({ "kid": self.kid, "use": "sig", "alg": self.algorithm() });
        with(&key, common)
    }
}

/// A token without a signature.
pub fn unsigned(claims: &Value) -> String {
    let header = json!({ "alg": "none", "typ": "at+jwt" });
    format!("{}.", signed_part(&header, claims))
}

impl Issuer {
    /// Starts one that publishes these keys.
    pub async fn start(keys: &[&SigningKey]) -> anyhow::Result<Self> {
        let authority = Authority::new()?;
        let published = Arc::new(Mutex::new(Published {
            metadata: Value::Null,
            keys: keys.iter().map(|key| key.published()).collect(),
            instead: None,
            fetched: 0,
        }));
        let mut issuer = Self {
            name: String::new(),
            ca_file: authority.ca_file().to_owned(),
            authority,
            server: None,
            port: 0,
            published,
        };
        issuer.resume().await?;
        let server = issuer.server.as_ref().context("it does not run")?;
        issuer.port = server.port();
        issuer.name = format!("{}{REALM}", server.url);
        let keys = issuer.keys_url();
        issuer.says(json!({ "issuer": issuer.name, "jwks_uri": keys }));
        Ok(issuer)
    }

    /// Where its keys are.
    pub fn keys_url(&self) -> String {
        format!("https://127.0.0.1:{}{KEYS}", self.port)
    }

    /// Publishes these keys from now on, and no others.
    pub fn publish(&self, keys: &[&SigningKey]) {
        lock(&self.published).keys = keys.iter().map(|key| key.published()).collect();
    }

    /// Has this metadata from now on.
    pub fn says(&self, metadata: Value) {
        lock(&self.published).metadata = metadata;
    }

    /// Answers a request for its keys with this, head and body.
    pub fn answers_with(&self, answer: impl Into<String>) {
        lock(&self.published).instead = Some(answer.into());
    }

    /// How often its keys were fetched.
    pub fn fetched(&self) -> usize {
        lock(&self.published).fetched
    }

    /// The requests since it was started last, as they came in.
    pub fn requests(&self) -> Vec<String> {
        self.server
            .as_ref()
            .map(Rogue::requests)
            .unwrap_or_default()
    }

    /// Does not listen from now on.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Listens again, on the same port.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        let published = Arc::clone(&self.published);
        let script = move |request: &str| {
            let answer = answer(&published, request);
            vec![Piece::Bytes(answer.into_bytes()), Piece::Close]
        };
        let server = self.authority.serve("127.0.0.1", self.port, script);
        self.server = Some(server.await?);
        Ok(())
    }

    /// What a right token says: it expires in an hour.
    pub fn claims(&self, sub: &str, audience: &str, scope: &str) -> Value {
        let now = now();
        json!({
            "iss": self.name, "sub": sub, "aud": audience, "scope": scope,
            "iat": now, "nbf": now, "exp": now + 3600, "client_id": "tests",
        })
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map(|now| now.as_secs()).unwrap_or_default()
}

fn answer(published: &Mutex<Published>, request: &str) -> String {
    let mut published = lock(published);
    let body = match request.split(' ').nth(1).unwrap_or_default() {
        // As with OpenID Connect, and nowhere else.
        "/realms/lab/.well-known/openid-configuration" => published.metadata.to_string(),
        KEYS => {
            published.fetched += 1;
            if let Some(answer) = &published.instead {
                return answer.clone();
            }
            json!({ "keys": published.keys }).to_string()
        }
        _ => {
            return "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                .to_owned();
        }
    };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: \
         {}\r\n\r\n{body}",
        body.len()
    )
}

fn signed_part(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

fn lock(published: &Mutex<Published>) -> MutexGuard<'_, Published> {
    published.lock().unwrap_or_else(PoisonError::into_inner)
}
