//! The commands, one file each.

mod adapters;
mod apps;
mod bench;
mod book;
mod build;
mod check_requests;
mod check_systems;
mod clients;
mod conformance;
mod debian;
mod demo;
mod deny;
mod dist;
mod docker_test;
mod docs;
mod evals;
mod fuzz;
mod hosts;
mod lists;
mod redteam;
mod rustdoc;
mod setup;
mod soak;
mod test;

use clap::Subcommand;

use crate::workspace::Workspace;

#[derive(Subcommand)]
pub(crate) enum Command {
    Setup(setup::Setup),
    Build(build::Build),
    Adapters(adapters::Adapters),
    Apps(apps::Apps),
    Hosts(hosts::Hosts),
    Clients(clients::Clients),
    Conformance(conformance::Conformance),
    Dist(dist::Dist),
    Test(test::Test),
    Demo(demo::Demo),
    Bench(bench::Bench),
    Soak(soak::Soak),
    Redteam(redteam::Redteam),
    Evals(evals::Evals),
    Lists(lists::Lists),
    Deny(deny::Deny),
    Fuzz(fuzz::Fuzz),
    Docs(docs::Docs),
    Book(book::Book),
    Rustdoc(rustdoc::Rustdoc),
    CheckRequests(check_requests::CheckRequests),
    CheckSystems(check_systems::CheckSystems),
    DockerTest(docker_test::DockerTest),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let workspace = Workspace::find()?;
        match self {
            Self::Setup(command) => command.run(&workspace),
            Self::Build(command) => command.run(&workspace),
            Self::Adapters(command) => command.run(&workspace),
            Self::Apps(command) => command.run(&workspace),
            Self::Hosts(command) => command.run(&workspace),
            Self::Clients(command) => command.run(&workspace),
            Self::Conformance(command) => command.run(&workspace),
            Self::Dist(command) => command.run(&workspace),
            Self::Test(command) => command.run(&workspace),
            Self::Demo(command) => command.run(&workspace),
            Self::Bench(command) => command.run(&workspace),
            Self::Soak(command) => command.run(&workspace),
            Self::Redteam(command) => command.run(&workspace),
            Self::Evals(command) => command.run(&workspace),
            Self::Lists(command) => command.run(&workspace),
            Self::Deny(command) => command.run(&workspace),
            Self::Fuzz(command) => command.run(&workspace),
            Self::Book(command) => command.run(&workspace),
            Self::Rustdoc(command) => command.run(&workspace),
            Self::Docs(command) => command.run(&workspace),
            Self::CheckRequests(command) => command.run(&workspace),
            Self::CheckSystems(command) => command.run(&workspace),
            Self::DockerTest(command) => command.run(&workspace),
        }
    }
}
