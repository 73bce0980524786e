//! What `database.url` names: which kind, which servers, and how that is written where a password must not be seen.
//! Connects to nothing.

pub fn is_postgres(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
}

/// The servers of a PostgreSQL, one address each: several whole ones with commas between them, or several hosts in one.
pub fn servers(url: &str) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    for part in url.split(',') {
        match whole.last_mut() {
            // A comma that no scheme follows stands between hosts, or in a password.
            Some(last) if !part.trim_start().starts_with("postgres") => {
                last.push(',');
                last.push_str(part);
            }
            _ => whole.push(part.trim().to_owned()),
        }
    }
    whole.iter().flat_map(|address| hosts(address)).collect()
}

fn hosts(address: &str) -> Vec<String> {
    let Some((scheme, rest)) = address.split_once("://") else { return vec![address.to_owned()] };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').map_or((String::new(), authority), |(user, hosts)| (format!("{user}@"), hosts));
    hosts.split(',').map(|host| format!("{scheme}://{user}{}{path}", host.trim())).collect()
}

/// For people: scheme, user, host and database, and nothing that may be a secret.
pub fn shown(url: &str) -> String {
    if !is_postgres(url) {
        return url.to_owned();
    }
    let shown = servers(url).into_iter().map(|address| {
        let Some((scheme, rest)) = address.split_once("://") else { return "postgres://…".to_owned() };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        match user.split(':').next().unwrap_or_default() {
            "" => format!("{scheme}://{host}{path}"),
            name => format!("{scheme}://{name}@{host}{path}"),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_may_name_several_servers() {
        for (url, servers) in [
            ("postgres://u:p@a/db", &["postgres://u:p@a/db"][..]),
            (
                "postgres://u:p@a:1,b:2/db?sslmode=require",
                &["postgres://u:p@a:1/db?sslmode=require", "postgres://u:p@b:2/db?sslmode=require"],
            ),
            ("postgres://u:p@a/db, postgresql://v@b/db", &["postgres://u:p@a/db", "postgresql://v@b/db"]),
            ("postgres://u:p,w@[::1]:5432/db", &["postgres://u:p,w@[::1]:5432/db"]),
            ("postgres:///db?host=/run/postgresql", &["postgres:///db?host=/run/postgresql"]),
        ] {
            assert_eq!(super::servers(url), servers, "{url}");
        }
    }

    #[test]
    fn what_people_see_has_no_password() {
        for (url, seen) in [
            ("postgres://ana:hunter2@a:1,b/db?password=hunter2", "postgres://ana@a:1/db, postgres://ana@b/db"),
            ("postgres://ana:hun@ter2@a/db,postgres://:hunter2@b/db", "postgres://ana@a/db, postgres://b/db"),
            ("postgres://a?sslkey=/hunter2", "postgres://a"),
            ("sqlite://data/reynard.db", "sqlite://data/reynard.db"),
        ] {
            assert_eq!(shown(url), seen);
        }
    }
}
