//! Arguments that the tools that write rules share.

/// Makes a tool's arguments of its own fields and those by which a firewall
/// and a rule's contents are named. (`flatten` would undo the refusal of
/// unknown fields.)
macro_rules! rule_arguments {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub(crate) struct $name {
            /// A guest's.
            #[schemars(range(min = 100, max = 999_999_999))]
            vmid: Option<u32>,
            /// A node's.
            node: Option<String>,
            /// True: the cluster's.
            cluster: Option<bool>,
            $($own)*
            /// Such as SSH, instead of proto and ports.
            r#macro: Option<String>,
            /// Such as net0.
            interface: Option<String>,
            /// IP, CIDR, range a-b, comma list, alias or +ipset.
            source: Option<String>,
            /// As source.
            dest: Option<String>,
            /// tcp, udp…; ports need it.
            proto: Option<String>,
            /// Port, 80:85, service or comma list.
            dport: Option<String>,
            /// As dport.
            sport: Option<String>,
            /// Such as echo-request.
            icmp_type: Option<String>,
            /// Level, such as info.
            log: Option<String>,
            /// One line.
            comment: Option<String>,
            /// Even if it locks people out of nodes.
            accept_lockout: Option<bool>,
        }

        impl $name {
            fn scope(&self) -> Result<Scope> {
                Scope::of(self.vmid, self.node.clone(), self.cluster)
            }

            fn contents(&self) -> Fields {
                Fields {
                    direction: None,
                    action: None,
                    enabled: self.enabled,
                    r#macro: self.r#macro.clone(),
                    interface: self.interface.clone(),
                    source: self.source.clone(),
                    dest: self.dest.clone(),
                    proto: self.proto.clone(),
                    dport: self.dport.clone(),
                    sport: self.sport.clone(),
                    icmp_type: self.icmp_type.clone(),
                    log: self.log.clone(),
                    comment: self.comment.clone(),
                }
            }
        }
    };
}

pub(super) use rule_arguments;
