//! Secrets in command lines: the argument list of a program, or a line for a
//! shell.
//!
//! An option whose value is a secret for some programs and not for others
//! (`-p` is a password for mysql and a port for ssh) is known by its program.

use super::name::{HIDDEN, is_secret_name};
use super::text;

/// A word of a command line, and where it is in the text.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    start: usize,
}

/// What is known of the word at hand from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing.
    Plain,
    /// It is a secret.
    Secret,
    /// It is a secret, unless it is an option.
    Named,
    /// It is `user:password` or `user%password`.
    Login,
    /// It is a header of HTTP.
    Header,
}

/// How a program takes secrets.
struct Program {
    /// Its names. One that ends in `*` matches every name with that prefix.
    names: &'static [&'static str],
    /// Options whose value is a secret: attached to a single letter, behind
    /// `=`, or the next word.
    secrets: &'static [&'static str],
    /// Options whose value, attached alone, is a secret: `mysql -p` asks.
    attached: &'static [&'static str],
    /// Options whose value is a user and a password.
    logins: &'static [&'static str],
}

static PROGRAMS: &[Program] = &[
    Program {
        names: &["mysql*", "mariadb*", "sqlplus"],
        secrets: &[],
        attached: &["-p"],
        logins: &[],
    },
    Program {
        names: &["mongo*"],
        secrets: &["-p"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["sqlcmd", "osql", "bcp"],
        secrets: &["-P"],
        attached: &[],
        logins: &[],
    },
    Program {
        // `user,password`.
        names: &["lftp"],
        secrets: &["-u", "--user"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["sshpass"],
        secrets: &["-p"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["7z*", "rar", "unrar"],
        secrets: &[],
        attached: &["-p", "-hp"],
        logins: &[],
    },
    Program {
        names: &["zip", "unzip"],
        secrets: &["-P"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["redis-cli"],
        secrets: &["-a"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["ldap*"],
        secrets: &["-w", "-W"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["docker", "podman", "buildah", "skopeo", "helm", "oc", "az"],
        secrets: &["-p"],
        attached: &[],
        logins: &["--creds", "--src-creds", "--dest-creds"],
    },
    Program {
        names: &["curl"],
        secrets: &["--oauth2-bearer", "--pass", "-b", "--cookie"],
        attached: &[],
        logins: &["-u", "-U", "--user", "--proxy-user"],
    },
    Program {
        names: &["wget", "http", "https", "httpie"],
        secrets: &["--oauth2-bearer", "--key-password", "--pass"],
        attached: &[],
        logins: &["-u", "-U", "--user", "--proxy-user", "-a", "--auth"],
    },
    Program {
        names: &["smbclient", "rpcclient", "net", "mount.cifs"],
        secrets: &[],
        attached: &[],
        logins: &["-U", "--user"],
    },
    Program {
        names: &["snmp*"],
        secrets: &["-c", "-A", "-X"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["ipmitool"],
        secrets: &["-P"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["useradd", "usermod", "groupadd"],
        secrets: &["-p"],
        attached: &[],
        logins: &[],
    },
    Program {
        names: &["mosquitto_*"],
        secrets: &["-P"],
        attached: &[],
        logins: &[],
    },
];

/// Programs that set a password which they read, or that take one so.
const READERS: [&str; 8] = [
    "chpasswd",
    "newusers",
    "passwd",
    "smbpasswd",
    "pdbedit",
    "cryptsetup",
    "--stdin",
    "--password-stdin",
];
/// Programs all of whose plain arguments behind the user's name may be
/// passwords.
const SETTERS: [&str; 4] = ["htpasswd", "openssl", "net", "rabbitmqctl"];
/// Programs that run the one whose name is among their arguments.
const CARRIERS: [&str; 4] = ["docker", "podman", "oc", "sshpass"];
/// Words behind which another program's name comes.
const PREFIXES: [&str; 9] = [
    "sudo", "doas", "env", "nohup", "time", "nice", "exec", "command", "xargs",
];
/// Headers whose values are not secrets.
const PLAIN_HEADERS: [&str; 8] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "content-length",
    "content-type",
    "host",
    "range",
    "user-agent",
];

/// A command's arguments, each cleaned of what is a secret there.
pub(super) fn arguments(words: &[&str]) -> Vec<String> {
    let spans: Vec<Word<'_>> = words.iter().map(|text| Word { text, start: 0 }).collect();
    let hidden = secrets(&spans);
    words
        .iter()
        .zip(hidden)
        .map(|(word, hidden)| {
            let word = match hidden {
                Some(from) => hide(word, from),
                None => (*word).to_owned(),
            };
            // `sh -c` and the like take a whole line.
            match word.contains(char::is_whitespace) {
                true => line(&word),
                false => word,
            }
        })
        .collect()
}

/// A line for a shell, cleaned alike.
pub(super) fn line(text: &str) -> String {
    let words = split(text);
    let hidden = secrets(&words);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (word, hidden) in words.iter().zip(hidden) {
        let Some(from) = hidden else { continue };
        let start = word.start + from;
        out.push_str(text.get(done..start).unwrap_or_default());
        if start < word.start + word.text.len() {
            out.push_str(HIDDEN);
        }
        done = word.start + word.text.len();
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// What a command reads: without passwords, where it is one that sets them.
pub(super) fn input(command: &[&str], input: &str) -> String {
    let sets_passwords = command.iter().any(|word| {
        split(word)
            .iter()
            .any(|word| READERS.contains(&program_name(word.text)))
    });
    if !sets_passwords {
        return text::text(input);
    }
    let lines = input.split_inclusive('\n').map(|line| {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        hide(line, login(line).unwrap_or(0)) + end
    });
    lines.collect()
}

fn hide(word: &str, from: usize) -> String {
    match word.get(from..) {
        Some("") | None => word.to_owned(),
        Some(_) => format!("{}{HIDDEN}", word.get(..from).unwrap_or_default()),
    }
}

/// For each word, where a secret begins that reaches to its end.
fn secrets(words: &[Word<'_>]) -> Vec<Option<usize>> {
    let reads_password = words
        .iter()
        .any(|word| READERS.contains(&program_name(word.text)));
    let mut program = "";
    let mut expects_program = true;
    let mut next = Next::Plain;
    let mut plain_arguments = 0_usize;
    // The first plain argument, and whether an option had this letter.
    let mut subcommand = "";
    let mut has_n = false;
    words
        .iter()
        .map(|word| {
            let text = unquoted(word.text);
            let lead = word.text.len() - word.text.trim_start_matches(['"', '\'']).len();
            let at = |from: usize| Some(lead + from);
            match std::mem::replace(&mut next, Next::Plain) {
                Next::Secret => return at(0),
                Next::Login => return login(text).map(|from| lead + from),
                Next::Header => return header(text).map(|from| lead + from),
                Next::Named if text.starts_with('-') && word.text == text => next = Next::Named,
                // SQL: `identified with some_password by 'hush'`.
                Next::Named if text.eq_ignore_ascii_case("by") => {
                    next = Next::Secret;
                    return None;
                }
                Next::Named if !is_separator(text) => return at(0),
                Next::Named | Next::Plain => {}
            }
            if is_separator(text) {
                expects_program = true;
                next = Next::Plain;
                return None;
            }
            if expects_program {
                let is_assignment = text.split_once('=').is_some_and(|(name, _)| {
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                });
                if is_assignment || text.starts_with('-') || PREFIXES.contains(&text) {
                    return None;
                }
                program = program_name(text);
                expects_program = false;
                (plain_arguments, subcommand, has_n) = (0, "", false);
                return None;
            }
            if text.starts_with('-') {
                has_n |= !text.starts_with("--") && text.contains('n');
                let (hidden, follows) = option(program, text);
                if follows != Next::Plain {
                    next = follows;
                }
                return hidden.map(|from| lead + from);
            }
            // Behind `sudo -u somebody`, `timeout 5`, `docker exec box`, …
            let carries = !is_known(program) || CARRIERS.contains(&program);
            if program == "sshpass" || carries && is_known(program_name(text)) {
                program = program_name(text);
                (plain_arguments, subcommand, has_n) = (0, "", false);
                return None;
            }
            plain_arguments += 1;
            if plain_arguments == 1 {
                subcommand = text;
            }
            if matches!(program, "echo" | "printf") && reads_password && text != "\\n" {
                return at(login(text).unwrap_or(0));
            }
            if reads_password && (text.contains(':') || program == "<<<") {
                return login(text).map(|from| lead + from);
            }
            if SETTERS.contains(&program) {
                return match (program, plain_arguments) {
                    ("htpasswd", 3..) => at(0),
                    ("htpasswd", 2..) if has_n => at(0),
                    ("net", 3) => at(0),
                    ("openssl", 2..) if text.starts_with("pass:") => at(5),
                    ("openssl", 2..) if subcommand == "passwd" => at(0),
                    ("rabbitmqctl", 3..) if sets_password(subcommand) => at(0),
                    _ => None,
                };
            }
            // As in `nmcli … password hush`.
            if names_secret(text) {
                next = Next::Named;
            }
            None
        })
        .collect()
}

/// A program whose arguments are known.
fn is_known(program: &str) -> bool {
    SETTERS.contains(&program) || PROGRAMS.iter().any(|known| known.is(program))
}

/// What `rabbitmqctl` does with a user's name and a password.
fn sets_password(subcommand: &str) -> bool {
    matches!(
        subcommand,
        "add_user" | "change_password" | "authenticate_user"
    )
}

/// Whether an argument is the name of a secret that follows it. `secret` and
/// `token` alone are what some programs are asked for.
fn names_secret(text: &str) -> bool {
    const ENDS: [&str; 8] = [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "pass",
        "pwd",
        "psk",
        "pw",
    ];
    const LONG_ENDS: [&str; 3] = ["secret", "token", "key"];
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let lower = text.to_ascii_lowercase();
    let is_long = lower.contains(['_', '-', '.']);
    let ends = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
    text.bytes().all(is_name)
        && is_secret_name(text)
        && (ends(&ENDS) || is_long && ends(&LONG_ENDS))
}

/// Whether an option carries a secret, and what its next word is.
fn option(program: &str, text: &str) -> (Option<usize>, Next) {
    if matches!(text, "-H" | "--header" | "--proxy-header") {
        return (None, Next::Header);
    }
    if let Some(header_text) = text.strip_prefix("--header=") {
        return (
            header(header_text).map(|at| at + "--header=".len()),
            Next::Plain,
        );
    }
    if matches!(text, "-passin" | "-passout" | "-pass" | "-k") && program == "openssl" {
        return (None, Next::Secret);
    }
    let Some(known) = PROGRAMS.iter().find(|one| one.is(program)) else {
        return (None, Next::Plain);
    };
    for name in known.secrets {
        match value_of(text, name) {
            Some(Some(at)) => return (Some(at), Next::Plain),
            Some(None) => return (None, Next::Secret),
            None => {}
        }
    }
    for name in known.attached {
        if let Some(Some(at)) = value_of(text, name) {
            return (Some(at), Next::Plain);
        }
    }
    for name in known.logins {
        match value_of(text, name) {
            Some(Some(at)) => {
                let value = text.get(at..).unwrap_or_default();
                return (login(value).map(|from| at + from), Next::Plain);
            }
            Some(None) => return (None, Next::Login),
            None => {}
        }
    }
    (None, Next::Plain)
}

/// Where the value of an option is within its word, or that it is the next.
fn value_of(text: &str, name: &str) -> Option<Option<usize>> {
    let rest = text.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(None);
    }
    if rest.starts_with('=') {
        return Some(Some(name.len() + 1));
    }
    // `-pSECRET`; `--passive` is not `--pass`.
    (!name.starts_with("--")).then_some(Some(name.len()))
}

/// Where the password of `user:password` or `user%password` begins.
fn login(text: &str) -> Option<usize> {
    text.find([':', '%']).map(|at| at + 1)
}

/// Where the value of a header begins, unless it is a harmless one.
fn header(text: &str) -> Option<usize> {
    let (name, value) = text.split_once(':')?;
    let is_plain = PLAIN_HEADERS.contains(&name.trim().to_ascii_lowercase().as_str());
    let spaces = value.len() - value.trim_start().len();
    (!is_plain).then_some(name.len() + 1 + spaces)
}

impl Program {
    fn is(&self, program: &str) -> bool {
        self.names.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => program.starts_with(start),
            None => program == *name,
        })
    }
}

/// `/usr/bin/mysql` and `mysql.exe` are `mysql`.
fn program_name(text: &str) -> &str {
    let name = unquoted(text);
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    name.strip_suffix(".exe").unwrap_or(name)
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

fn is_separator(text: &str) -> bool {
    matches!(
        text,
        "|" | "||" | "&&" | ";" | "&" | "|&" | "(" | "{" | "do" | "then" | "<<<"
    )
}

/// The words of a shell's line: split at blanks outside of quotes, and around
/// what separates commands.
fn split(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut push = |start: &mut Option<usize>, end: usize| {
        if let Some(from) = start.take()
            && let Some(text) = text.get(from..end)
        {
            words.push(Word { text, start: from });
        }
    };
    for (at, character) in text.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character.is_whitespace() => push(&mut start, at),
            None if matches!(character, ';' | '|' | '&' | '(' | '{') => {
                push(&mut start, at);
                start = Some(at);
                push(&mut start, at + 1);
            }
            None => {
                if matches!(character, '"' | '\'') {
                    quote = Some(character);
                }
                start.get_or_insert(at);
            }
        }
    }
    push(&mut start, text.len());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_argument_lists_are_hidden() {
        for (words, shown) in [
            ("mysql~-uroot~-phush", "mysql~-uroot~-p(hidden)"),
            (
                "/usr/bin/mysqldump~-phush~db",
                "/usr/bin/mysqldump~-p(hidden)~db",
            ),
            (
                "curl~-u~me:hush~https://example.com",
                "curl~-u~me:(hidden)~https://example.com",
            ),
            ("curl~-ume:hush", "curl~-ume:(hidden)"),
            ("curl~-H~X-Auth: hush", "curl~-H~X-Auth: (hidden)"),
            ("curl~-H~Accept: text/html", "curl~-H~Accept: text/html"),
            ("curl~--header=X-Api: hush", "curl~--header=X-Api: (hidden)"),
            (
                "sshpass~-p~hush~ssh~-p~22~host",
                "sshpass~-p~(hidden)~ssh~-p~22~host",
            ),
            ("sshpass~-phush~ssh", "sshpass~-p(hidden)~ssh"),
            ("redis-cli~-a~hush~ping", "redis-cli~-a~(hidden)~ping"),
            ("smbclient~-U~me%hush", "smbclient~-U~me%(hidden)"),
            ("net~user~me~hush", "net~user~me~(hidden)"),
            ("htpasswd~-b~file~me~hush", "htpasswd~-b~file~me~(hidden)"),
            ("openssl~enc~-k~hush", "openssl~enc~-k~(hidden)"),
            ("sh~-c~mysql -phush db", "sh~-c~mysql -p(hidden) db"),
            (
                "bash~-c~echo 'root:hush' | chpasswd",
                "bash~-c~echo 'root:(hidden) | chpasswd",
            ),
            (
                "sh~-c~echo hush | passwd --stdin root",
                "sh~-c~echo (hidden) | passwd --stdin root",
            ),
            (
                "sh~-c~cd /tmp; sudo mysql -phush",
                "sh~-c~cd /tmp; sudo mysql -p(hidden)",
            ),
        ] {
            let words: Vec<_> = words.split('~').collect();
            assert_eq!(arguments(&words).join("~"), shown);
        }
    }

    /// Behind other programs, and where a word or a quote tells.
    #[test]
    fn secrets_behind_words_are_hidden() {
        for words in [
            "sudo~-u~x~mysql~-phush",
            "timeout~-k~1~5~mysql~-phush",
            "docker~exec~-it~db~mysql~-phush",
            "sh~-c~sudo -u x curl -u me:hush https://example.com",
            "nmcli~dev~wifi~connect~home~password~hush",
            "psql~-c~alter role bob password 'hush'",
            "psql~-c~ALTER ROLE bob WITH PASSWORD 'hush' VALID UNTIL 'infinity'",
            "mysqladmin~password~hush",
            "mysqladmin~-u~root~password~hush",
            "aws~configure~set~aws_secret_access_key~hush",
            "printf~user=bob\\npass=hush\\n",
            "sh~-c~printf 'user=bob\\npass=hush\\n' > /etc/creds",
            "mysql~-e~create user bob identified by 'hush'",
            "mysql~-e~ALTER USER bob IDENTIFIED WITH caching_sha2_password BY 'hush'",
            "mysql~-e~set password for bob = password('hush')",
            "sh~-c~mysql -e \"grant all on x to bob identified by 'hush'\"",
            "openssl~passwd~hush",
            "openssl~passwd~-6~hush",
            "openssl~passwd~-6~-salt~ab~hush",
            "htpasswd~-b~f~bob~hush",
            "htpasswd~-nb~bob~hush",
            "sudo~-u~www~htpasswd~-b~f~bob~hush",
            "cmd~/c~net~user~bob~hush",
            "rabbitmqctl~change_password~bob~hush",
            "curl~-b~session=hush~https://example.com",
            "curl~--cookie~session=hush~https://example.com",
            "lftp~-u~bob,hush~ftp.example.com",
            "sqlcmd~-Phush",
            "sqlcmd~-P~hush",
            "mongosh~-p~hush",
        ] {
            let list: Vec<_> = words.split('~').collect();
            let list =
                super::super::schema::without_arguments(&serde_json::json!(list)).to_string();
            let line = words.replace('~', " ");
            let line = super::super::schema::without_arguments(&line.into()).to_string();
            for shown in [list, line] {
                assert!(!shown.contains("hush"), "{words}: {shown}");
                assert!(shown.contains(HIDDEN), "{words}: {shown}");
            }
        }
    }

    #[test]
    fn harmless_commands_stay_whole() {
        for words in [
            "ssh~-p~22~host",
            "mkdir~-p~/srv/data",
            "mysql~-p",
            "ps~-p~1",
            "rm~-rf~/srv/old",
            "sh~-c~systemctl restart nginx && tail -n 5 /var/log/syslog",
            "curl~-u~me",
            "openssl~x509~-in~cert.pem",
            "sudo~-u~postgres~psql~-c~select 1",
            "kubectl~get~secret~web",
            "vault~token~lookup",
            "docker~run~-d~nginx",
            "sudo~systemctl~restart~mysql",
        ] {
            let words: Vec<_> = words.split('~').collect();
            assert_eq!(arguments(&words), words);
        }
    }
}
