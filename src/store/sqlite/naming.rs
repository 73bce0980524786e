//! Which firing alerts may name a target, on SQLite: each is marked when it is written, and all are marked anew by other words.

use futures_util::TryStreamExt;
use sqlx::{Connection, Row, SqliteConnection};

use crate::domain::id::IncidentId;
use crate::domain::labels::Labels;
use crate::domain::trouble::{NAMING, Words};
use crate::engine::store::StoreError;
use crate::store::sqlite::journal::give_back;
use crate::store::sqlite::open::{SqliteStore, store_error};
use crate::store::sqlite::rows;

/// Alerts that are looked through in one commit.
const PAGE: u32 = 10_000;

const MARKED_BY: &str = "select value from meta where name = 'target_words'";

const NAMING_ONES: &str = "
    select a.incident, a.fingerprint, a.labels
    from alerts as a
    join incidents as i on i.id = a.incident
    where a.firing = 1
      and a.may_name is not 0
      and i.status <> 'resolved'";

const NEXT: &str = "
    select incident, fingerprint, labels, may_name
    from alerts
    where (incident, fingerprint) > ($1, $2)
      and firing = 1
    order by incident, fingerprint
    limit $3";

const MARK: &str = "
    update alerts
    set may_name = m.value ->> 2
    from json_each($1) as m
    where incident = m.value ->> 0 and fingerprint = m.value ->> 1";

const MARK_BY: &str = "
    insert into meta (name, value)
    values ('target_words', $1)
    on conflict (name) do update set value = excluded.value";

impl SqliteStore {
    pub(super) async fn firing_of(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError> {
        let by: Option<String> = sqlx::query_scalar(MARKED_BY).fetch_optional(&self.readers).await.map_err(store_error)?;
        let digest = words.digest();
        if by.as_ref() != Some(&digest) {
            self.mark_anew(words, &digest).await?;
        }
        self.naming_ones().await.map_err(store_error)
    }

    async fn naming_ones(&self) -> Result<Vec<(IncidentId, String, Labels)>, sqlx::Error> {
        let mut found = sqlx::query(NAMING_ONES).fetch(&self.readers);
        let mut firing = Vec::new();
        while let Some(row) = found.try_next().await? {
            let mut labels: Labels = rows::from_json(row.try_get("labels")?)?;
            labels.retain(|name, _| NAMING.contains(&name.as_str()));
            firing.push((rows::incident_id(&row, "incident")?, row.try_get("fingerprint")?, labels));
        }
        Ok(firing)
    }

    /// A page a commit, so that nobody waits for a million rows. Until the last one it stands there that none of the marks count.
    async fn mark_anew(&self, words: &Words, digest: &str) -> Result<(), StoreError> {
        let mut after = (String::new(), String::new());
        loop {
            let (place, mut connection) = self.take_writer().await?;
            let marked = mark_page(&mut connection, (words, digest), &after).await;
            match give_back(place, connection, marked).await? {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

/// The last alert of the page; none when there are no more.
async fn mark_page(
    connection: &mut SqliteConnection,
    (words, digest): (&Words, &str),
    (incident, fingerprint): &(String, String),
) -> Result<Option<(String, String)>, sqlx::Error> {
    let mut tx = connection.begin_with("begin immediate").await?;
    let (mut marks, mut last, mut seen) = (Vec::new(), None, 0);
    {
        let mut page = sqlx::query(NEXT).bind(incident).bind(fingerprint).bind(PAGE).fetch(&mut *tx);
        while let Some(row) = page.try_next().await? {
            let name: (String, String) = (row.try_get("incident")?, row.try_get("fingerprint")?);
            let may_name = words.may_be_in(&rows::from_json(row.try_get("labels")?)?);
            if row.try_get::<Option<bool>, _>("may_name")? != Some(may_name) {
                marks.push((name.0.clone(), name.1.clone(), u8::from(may_name)));
            }
            last = Some(name);
            seen += 1;
        }
    }
    let more = seen == PAGE;
    if !marks.is_empty() {
        sqlx::query(MARK).bind(rows::to_json(&marks)).execute(&mut *tx).await?;
    }
    sqlx::query(MARK_BY).bind(if more { "" } else { digest }).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(last.filter(|_| more))
}
