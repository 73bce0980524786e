//! What steps do: one file an action, all of one silhouette; the catalogue lists them. No channel, store or page is known here.

pub mod catalog;
pub mod command_run;
pub mod dns_resolve;
pub mod egress;
pub mod http;
pub mod http_check;
pub mod http_request;
pub mod note;
pub mod notify;
pub mod params;
pub mod playbook_run;
pub mod postgres;
pub mod postgres_pool_reset;
pub mod postgres_pool_status;
pub mod postgres_read_only;
pub mod prometheus;
pub mod prometheus_query;
pub mod prometheus_wait_until;
pub mod promql;
pub mod tcp_connect;
pub mod ticket_create;
pub mod wait;
