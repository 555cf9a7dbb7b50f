//! The keys that an issuer publishes (RFC 7517).

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// With what a token says that it is signed.
#[derive(Debug, Clone)]
pub(super) struct SignedWith {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
}

/// The keys of an issuer.
pub(super) struct KeySet(Vec<Jwk>);

impl KeySet {
    /// Reads a document. Keys of a kind that is not known are left out. The message of an
    /// error continues the document's address.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document =
            serde_json::from_slice(document).map_err(|_| "is not a JSON Web Key Set".to_owned())?;
        let keys = document.keys.into_iter();
        let keys: Vec<Jwk> = keys
            .filter_map(|key| serde_json::from_value(key).ok())
            .filter(|key: &Jwk| is_public(&key.algorithm))
            .collect();
        match keys.is_empty() {
            true => Err("has no key that can be used".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// The key that a token says it was signed with. Without the name of a key, the issuer
    /// must have only one for the algorithm.
    pub(super) fn find(&self, wanted: &SignedWith) -> Option<DecodingKey> {
        let mut keys = self.0.iter().filter(|key| {
            let is_named = wanted.key_id.is_none() || key.common.key_id == wanted.key_id;
            is_named && may_verify(key, wanted.algorithm)
        });
        let key = keys.next()?;
        if wanted.key_id.is_none() && keys.next().is_some() {
            return None;
        }
        DecodingKey::from_jwk(key).ok()
    }
}

/// Whether a key is of a kind that may verify signatures. A secret is not.
fn is_public(key: &AlgorithmParameters) -> bool {
    matches!(
        key,
        AlgorithmParameters::RSA(_)
            | AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKeyPair(_)
    )
}

/// Whether a key is of an algorithm, and for signatures.
fn may_verify(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let is_for_signatures = match &common.public_key_use {
        Some(given) => *given == PublicKeyUse::Signature,
        None => true,
    };
    let verifies = match &common.key_operations {
        Some(operations) => operations.contains(&KeyOperations::Verify),
        None => true,
    };
    let is_of_algorithm = match common.key_algorithm {
        Some(given) => given == KeyAlgorithm::from(algorithm),
        None => true,
    };
    let fits = match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => algorithm == Algorithm::ES256,
            EllipticCurve::P384 => algorithm == Algorithm::ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(key) => {
            key.curve == EllipticCurve::Ed25519 && algorithm == Algorithm::EdDSA
        }
        _ => false,
    };
    is_for_signatures && verifies && is_of_algorithm && fits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(keys: Value) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn ed(kid: &str, more: Value) -> Value {
        let mut key = json!({
            "kty": "OKP", "crv": "Ed25519", "kid": kid,
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let (Some(key_fields), Value::Object(more)) = (key.as_object_mut(), more) else {
            panic!("not an object");
        };
        key_fields.extend(more);
        key
    }

    fn has(set: &KeySet, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let key_id = kid.map(str::to_owned);
        let wanted = SignedWith { algorithm, key_id };
        set.find(&wanted).is_some()
    }

    #[test]
    fn use_and_algorithm_are_respected() {
        for (more, is_found) in [
            (json!({}), true),
            (json!({ "use": "sig", "alg": "EdDSA" }), true),
            (json!({ "key_ops": ["verify"] }), true),
            (json!({ "use": "enc" }), false),
            (json!({ "alg": "ES256" }), false),
            (json!({ "alg": "ML-DSA-44" }), false),
            (json!({ "key_ops": ["sign"] }), false),
            (json!({ "crv": "P-256" }), false),
        ] {
            let keys = set(json!([ed("a", more.clone())]));
            let found = has(&keys, Algorithm::EdDSA, Some("a"));
            assert_eq!(found, is_found, "{more}");
            assert!(!has(&keys, Algorithm::ES256, Some("a")), "{more}");
            assert!(!has(&keys, Algorithm::HS256, Some("a")), "{more}");
        }
    }

    #[test]
    fn a_token_without_the_name_of_a_key_needs_an_issuer_with_one_key() {
        let one = set(json!([ed("a", json!({})), { "kty": "new" }]));
        assert!(has(&one, Algorithm::EdDSA, None));
        assert!(!has(&one, Algorithm::EdDSA, Some("b")));
        let two = set(json!([ed("a", json!({})), ed("b", json!({}))]));
        assert!(!has(&two, Algorithm::EdDSA, None));
        assert!(has(&two, Algorithm::EdDSA, Some("b")));
    }

    #[test]
    fn other_documents_are_refused() {
        for document in [
            "",
            "[]",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":[{}]}"#,
            r#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#,
        ] {
            assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
        }
    }
}
