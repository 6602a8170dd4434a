//! Which bucket, and what the environment says about the service that has it.

use super::profile;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::{BackoffConfig, RetryConfig};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long a request is tried again.
const RETRY_FOR: Duration = Duration::from_secs(120);

/// A bucket, a prefix and the variables `AWS_*`.
#[derive(Clone)]
pub(crate) struct Settings {
    bucket: String,
    prefix: String,
    variables: BTreeMap<String, String>,
}

// Without the variables: credentials are among them.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settings").field(&self.url()).finish()
    }
}

impl Settings {
    /// Reads `BUCKET/PREFIX`, and of the environment the variables that AWS's programs share. What
    /// they leave open comes from the profile that they name.
    pub(crate) fn parse(
        place: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let place = place.trim_end_matches('/');
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(plain) {
            return Err(
                "expected s3://BUCKET/PREFIX with a bucket of 3 to 63 letters, digits, dots \
                        and hyphens"
                    .to_owned(),
            );
        }
        let fine = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(plain);
        if !prefix.is_empty() && !prefix.split('/').all(fine) {
            return Err(
                "expected s3://BUCKET/PREFIX with a prefix of letters, digits, dots, hyphens \
                        and underscores, parts separated by one slash"
                    .to_owned(),
            );
        }
        let mut variables: BTreeMap<String, String> = environment
            .iter()
            // An empty variable counts as none.
            .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        profile::complete(&mut variables, environment.get("HOME"))?;
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            variables,
        })
    }

    /// The bucket and prefix, written as a path so that names of objects can be joined to it.
    pub(crate) fn url(&self) -> PathBuf {
        let mut url = PathBuf::from(format!("s3://{}", self.bucket));
        if !self.prefix.is_empty() {
            url.push(&self.prefix);
        }
        url
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The address of the service, if it is not the usual one.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
        let values = names.iter().filter_map(|name| self.variables.get(*name));
        values.map(String::as_str).next()
    }

    pub(super) fn builder(&self, retries: usize) -> AmazonS3Builder {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(10),
                base: 2.,
            },
            max_retries: retries,
            retry_timeout: RETRY_FOR,
        };
        let mut builder = AmazonS3Builder::new();
        let defaults = [("AWS_TIMEOUT", "60s"), ("AWS_CONNECT_TIMEOUT", "5s")];
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in defaults.into_iter().chain(variables) {
            // Other variables are for other programs.
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        if self.endpoint().is_some_and(|e| e.starts_with("http://")) {
            builder = builder.with_allow_http(true);
        }
        builder
            .with_bucket_name(&self.bucket)
            .with_retry(retry)
            // The whole store depends on it, whatever the environment says.
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            // Not every service has requests that delete many objects.
            .with_disable_bulk_delete(true)
    }
}
