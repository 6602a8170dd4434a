//! The arguments of `serve`.

use super::bytes;
use clap::Args;
use segad_core::Device;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What to serve, where, and how much of it.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// A model file, or a folder of results (a store); without one, the segment editor alone.
    pub path: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one. By default this machine alone can reach it.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// A host name that requests may be addressed to, beside localhost and the address; may be
    /// repeated.
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// The folder of photographs: the one that the model was fitted on, or that of the data set.
    /// Nothing else is read.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Of a store: the segments to show, a name, a file of shapes, or a table.
    #[arg(long)]
    pub segments: Option<String>,
    /// Of a store: only rows whose name contains this; may be repeated.
    #[arg(long)]
    pub only: Vec<String>,
    /// Inspections at a time; each holds the networks once.
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
    /// Requests that may wait for a worker.
    #[arg(long, default_value_t = 32)]
    pub queue: usize,
    /// The largest image file that is accepted, e.g. 32MiB.
    #[arg(long, default_value = "32MiB", value_parser = bytes)]
    pub max_body: u64,
    /// Threads of one inspection; by default all.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Where networks run: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: Device,
}
