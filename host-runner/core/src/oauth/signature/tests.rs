//! Signatures that OpenSSL has made (`openssl dgst -sign`), of the same claims.

use jsonwebtoken::Algorithm;

use super::super::error::TokenError;
use super::super::key_set::KeySet;
use super::super::token::{self, Claims};

const AUDIENCE: &str = "https://mcp.example/mcp";

const KEYS: &str = r#"{"keys":[
{"kty":"RSA","kid":"rsa","n":"mspnRwq4lxRJEIU3vWCqCP-XZr5Dx3sFT1mzsbtR4jobE05JmsnLbMyFtdW4lxpyoyqC8xKugAH7GmvVfKTfwbQ7rVe1alBaNu3LQJVj-cbyc_ogHonK-dpsomNcMaER6sYErqsDTbE93e0GxyLvPOEGGfOyIAEQBN_g4W0b5nV5JHVHAaXsHcrrKvm_lpICcWMZa1_RU9Yiy5HQ3S3NHpnW8KmRE0RLX2yBHbCa_zXyPY1VEz03d57_wWII66UeKJNG0JISl2rmLP-J8Ee_WlOInbCWJZ7mtjV3Nid7SU5_xhBwWxFTYChhrl_Z9xDCaLqXSF7dU-XlxKO6ONq6ZQ","e":"AQAB"},
{"kty":"EC","kid":"p256","crv":"P-256","x":"eSlU0JYzegxJKba8EGCflCl6kEIqyNW7bKJNPdmYCrc","y":"CGnck6cp4kaj8i3rRIYE77NbfY71uUN9GfjQPm5c9bw"},
{"kty":"EC","kid":"p384","crv":"P-384","x":"w4H0k1JbEIBWFE1qLnVvn3DrXRrIqqe69jsX_mOpIQNnxz7Gh63StrYoru4iWpDu","y":"Rom7g_HNSEIgNAZENlUuDHUQjidcnXfJrCZWHVyJBSWrC20Lh4MbGEGEs9SLZg8p"},
{"kty":"OKP","kid":"ed","crv":"Ed25519","x":"j3ZCrbgfgBQKnaXZEn9P4hGuasHcggViJAf5mQ7k-AQ"}
]}"#;

/// Issuer, audience, subject alice, expiry in 2100, and the scopes openid and
/// proxmox:observe.
const CLAIMS: &str = "eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJodHRwczovL21jcC5leGFtcGxlL21j\
    cCIsInN1YiI6ImFsaWNlIiwiZXhwIjo0MTAyNDQ0ODAwLCJzY29wZSI6Im9wZW5pZCBwcm94bW94\
    Om9ic2VydmUifQ";

/// Algorithm, key and signature.
const SIGNATURES: [(&str, &str, &str); 9] = [
    (
        "RS256",
        "rsa",
        "hUHWwuaI0fwiUwdJsQucZTYnIv74FYekb5qfPhJ2O7zNqpJAIUFHIjTEUet9fTfvdLWP8_w6uyki\
         OarmCAx4s050ida5e2wm5HE4rpv4PJcT7lp_KK_mR1LlJGmMdKqTgN2sCg63NFUAQFktkM7iUpif\
         aSeWsefBubnotVTLiGcujOfgqDk59211eLzPFYD-yaVb8_Y37-O8SHn2Z87564YldxNTddEOsa2l\
         cpcxI44dUHA-szPKTjo-nVIU_B3BbwUoIZtcHXRWW3aQs1Hfx-WQOZQ_qgRN4y9bK67oqr_zby10\
         LvEdSy-TyjdodAvppPXh-4Jsep2MMASKTGR3Hg",
    ),
    (
        "RS384",
        "rsa",
        "jgA185xY2JennujWqnKEozAjgf-TsB24Y5AQGod-OkH1mzSGSKbLWyobLbOdOXmIuV3vvbnK1CX3\
         6f48Bjqpa0zfVPrZAPMxBkAEfNjrUVXBUT9PUIjgxZM0LO-5bXf1WeaFElgL_4dPU4W1fpsC_a5c\
         L-hmVVJ9ctjyRkZjA1UflEho8_zy9rfbp0PadaLFGU3YMXwSsypaRNB7V4kI4-Gw0edwqMJ65BIV\
         XodRS4ImN3S_vlxLyrI8ux8Nf8uirigMT0s5ZKg7F-eWtd9AnaOxGduoWBo4SzVFih8h5xUneqj2\
         vMlTr_nM47dlRiW1K9HqtlAGTlH27_Fd8ZG4cg",
    ),
    (
        "RS512",
        "rsa",
        "LYFQbYOheyv7DK40eurlxI1J26hFo7MWp1ZcTkVF6UL_KEv-hp6uxZyTSOARiuTE2y_VrX_3wRws\
         PJni3bHNSZb-U9dUMqW32mvZYBPdGO2ClxJUINIe_pYEFupPFwgkbKGUA27ct2DhJm3e1ePfRosO\
         h4H6Atur3u4JS5-fKMsm3ozelzjZ62_IGfZ4k14h23axg1u_jentSuVoob8JzYwLGF-ofGNm4I2A\
         4nG_86XkrPGx5H0wLwiG4nc0u-nS3_LunP_Z5mf3oEa2lcTqToIMwLE_YdSUf5loEiv0fwETmUaC\
         VjjtnQCyrgIdPezNemU0RR-L8UnKtQ0JDlYaJw",
    ),
    (
        "PS256",
        "rsa",
        "VAhffpIISSW8M1KpAkD2in8UfwHs-YhZkOB16mgXsvXx_zBvF6u6EWVokOOikp_qMNbPzF3S4DX7\
         iC64vVC7QnymKIU7yMhgFWUWEqmx3AbFJ_Yk0Q5uBpsD30S07lQAonYiPmJxltPQodzE77wyb8AC\
         BvdUQgyIYqUzYK23ZiOp_V52Fs55kOB4JNTyik8Kh-SpEAs32kpw2fQOCl8r4_T73Z-2UzFQiaTM\
         6vMel_zOgUg6oBAVeAGlQ-GdGLQ3JmIfQzDoHt3f8zjlXbsJH5KLiWzDAC6J4ddx7lmZ0NW1ZNIN\
         yfA1K-DUPVZQmVJbsVLo97NwJgHuu5MIU8L6tQ",
    ),
    (
        "PS384",
        "rsa",
        "jAosIw_BOdWly0HraN_UMhBjW7OwtPzsyCRt5nwxZ6wbBulsxhhFWh8JvwpRk7oHdqgRAmNK8q8M\
         Oy8z_qt0MHHFuQtuslHMNBkQm8szqokpkcCqsSniV8i6fB8gIzIRLHkrGu99tbZXvIgX8Ft6acYq\
         IOLSIEIpwKkyXNqOMcukFLMOwWJV0ktn5QlRk8onAhq6PH15R2PibJ0UhmYlYW4LxhdSky__drdb\
         1PWFnCzGrcOkIXqLgkN0XUOZTTV9dmXgDQAhzDFYU8Btlu6UBlhDDzgtFs9TsrW-kjpQtzXRxz3W\
         PCNirntC_jZcqgd5tFNV2ufNoHgSCmIYeuFCKQ",
    ),
    (
        "PS512",
        "rsa",
        "jFJ789k6BUgT5zVA88PcNy1EvSZawzL0AH3eWW1X8ohoDqJXEYgX7ThufNCsto2yFe86PB1Ed-ty\
         pVIcmOLpRaF-PoFMwwA2jBLsxMkUcb3qzjCPTCyjflhmn9bhxufsFoH5qAM072jQypr8zJw3pA9b\
         rYl5l7t6tLxWoqlY7uH75BBLP-LRoTRCfdyuhMTprvWGC24FecYIS824Tzq8GXFuJWzbvBBfi5Zp\
         JmY_WkiFSlFmOBwKxlyyKbxt1KqlpsxmyeXRkgosTvrPG7y2phGTUZCjPHMbL959TBo-mz011wqG\
         nJsKRmj4dCT8xXZCrl7AEyihaMr6CZ6ZRjo1hw",
    ),
    (
        "ES256",
        "p256",
        "CnjQoJS9KbZ5uMQaxiOQP8wtXPuNVjTLTYQFtZp_AoK4sMUJBr42bxBJ-x1Q-GlDYppzgCfUoeP3\
         3fOzLLvneQ",
    ),
    (
        "ES384",
        "p384",
        "og0eT7HoWdRhe10jZlSR0d00bOI4C5uWoQFkdKfgfyhKnTcxjhBEO8766NOSoKAwOeHcfWphBmf7\
         lir62hdcxie6OOwo7XOOWYt4CVZYkoPvKqIMKC0VI09q3MlIOZ5j",
    ),
    (
        "EdDSA",
        "ed",
        "089DFEFrZbp-JekKxPIiCcUpVi8-Ujk0GdM_SMB6LZ8SRb2k4xm-svU2EYJUpl-1g03SSuMoSNas\
         IQKcsCFJDA",
    ),
];

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let group = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or_default()));
        let number = (group[0] << 16) | (group[1] << 8) | group[2];
        let digits = [18, 12, 6, 0].map(|shift| DIGITS[(number >> shift) as usize & 63]);
        digits.into_iter().take(chunk.len() + 1)
    });
    digits.map(char::from).collect()
}

fn token(algorithm: &str, key: &str, claims: &str, signature: &str) -> String {
    let head = format!(r#"{{"alg":"{algorithm}","typ":"at+jwt","kid":"{key}"}}"#);
    format!("{}.{claims}.{signature}", base64url(head.as_bytes()))
}

fn check(token: &str) -> Result<Claims, TokenError> {
    super::install();
    let unverified = token::read(token)?;
    let keys = KeySet::parse(KEYS.as_bytes()).unwrap();
    let key = keys.find(&unverified.signed_with);
    let key = key.ok_or(TokenError::Invalid("no such key"))?;
    token::check(token, &unverified, &key, &[AUDIENCE.to_owned()])
}

#[test]
fn signatures_of_all_algorithms_are_verified() {
    for (algorithm, key, signature) in SIGNATURES {
        let claims = check(&token(algorithm, key, CLAIMS, signature)).unwrap();
        assert_eq!(claims.sub, "alice");
        assert_eq!(claims.scopes(), ["openid", "proxmox:observe"]);
    }
}

#[test]
fn other_claims_keys_and_algorithms_do_not_pass() {
    let wrong = |token: String| {
        let error = check(&token).unwrap_err();
        assert!(!error.to_string().contains(&token[..20]), "{error}");
        error.to_string()
    };
    for (algorithm, key, signature) in SIGNATURES {
        let admin = r#"{"iss":"https://id.example","aud":"https://mcp.example/mcp","sub":"admin"}"#;
        let why = wrong(token(
            algorithm,
            key,
            &base64url(admin.as_bytes()),
            signature,
        ));
        assert!(why.contains("signature"), "{algorithm}: {why}");
        for (_, another, _) in SIGNATURES {
            if another != key {
                assert_eq!(
                    wrong(token(algorithm, another, CLAIMS, signature)),
                    "no such key"
                );
            }
        }
        for (another, of, _) in SIGNATURES {
            if of == key && another != algorithm {
                let why = wrong(token(another, key, CLAIMS, signature));
                assert!(why.contains("signature"), "{algorithm} as {another}: {why}");
            }
        }
        for unsigned in [
            "none", "None", "HS256", "HS384", "HS512", "ES512", "ES256K", "",
        ] {
            let why = wrong(token(unsigned, key, CLAIMS, signature));
            assert!(why.contains("not accepted"), "{unsigned}: {why}");
        }
        let why = wrong(token(algorithm, key, CLAIMS, ""));
        assert!(why.contains("signature"), "{algorithm}: {why}");
    }
}

#[test]
fn secrets_verify_nothing() {
    assert!(super::check(Algorithm::HS256).is_none());
    assert!(super::check(Algorithm::HS512).is_none());
}

/// Each is refused before its signature matters.
#[test]
fn other_kinds_of_tokens_are_refused() {
    let (_, _, signature) = SIGNATURES[0];
    for (head, why) in [
        (
            r#"{"alg":"RS256","kid":"rsa","typ":"dpop+jwt"}"#,
            "not an access token",
        ),
        (
            r#"{"alg":"RS256","kid":"rsa","typ":"JWT","crit":["b64"],"b64":false}"#,
            "crit",
        ),
        (r#"{"kid":"rsa","typ":"JWT"}"#, "not a signed JWT"),
        ("[]", "not a signed JWT"),
    ] {
        let token = format!("{}.{CLAIMS}.{signature}", base64url(head.as_bytes()));
        let error = check(&token).unwrap_err().to_string();
        assert!(error.contains(why), "{head}: {error}");
    }
    // One without a type is judged by its signature: several issuers give none.
    let head = base64url(br#"{"alg":"RS256","kid":"rsa"}"#);
    let error = check(&format!("{head}.{CLAIMS}.{signature}")).unwrap_err();
    assert!(error.to_string().contains("signature"), "{error}");
}
