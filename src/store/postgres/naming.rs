//! Which firing alerts may name a target, on PostgreSQL: each is marked when it is written, and all are marked anew by other words.

use futures_util::TryStreamExt;
use sqlx::{Postgres, Row, Transaction};

use crate::domain::id::IncidentId;
use crate::domain::labels::Labels;
use crate::domain::trouble::{NAMING, Words};
use crate::engine::store::StoreError;
use crate::store::postgres::open::{PostgresStore, store_error};
use crate::store::postgres::rows::{self, column};

/// Alerts that are looked through in one commit.
const PAGE: i64 = 10_000;

const MARKED_BY: &str = "select value from meta where name = 'target_words'";

const NAMING_ONES: &str = "
    select a.incident, a.fingerprint, a.labels
    from alerts as a
    join incidents as i on i.id = a.incident
    where a.firing
      and a.may_name is not false
      and i.status <> 'resolved'";

const NEXT: &str = "
    select incident, fingerprint, labels, may_name
    from alerts
    where (incident, fingerprint) > ($1, $2)
      and firing
    order by incident, fingerprint
    limit $3";

const MARK: &str = "
    update alerts
    set may_name = m.may_name
    from unnest($1::text[], $2::text[], $3::boolean[]) as m (incident, fingerprint, may_name)
    where alerts.incident = m.incident and alerts.fingerprint = m.fingerprint";

const MARK_BY: &str = "
    insert into meta (name, value)
    values ('target_words', $1)
    on conflict (name) do update set value = excluded.value";

/// What a page of alerts comes to.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Incident, fingerprint, whether it may name a target: where that is not what it was marked with.
    marks: Vec<(String, String, bool)>,
    /// The words that all marks go by from now on; nothing while there are more to come.
    by: String,
}

impl PostgresStore {
    pub(super) async fn firing_of(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError> {
        let by: Option<String> = sqlx::query_scalar(MARKED_BY).fetch_optional(&self.readers()).await.map_err(store_error)?;
        let digest = words.digest();
        if by.as_ref() != Some(&digest) {
            self.mark_anew(words, &digest).await?;
        }
        self.naming_ones().await.map_err(store_error)
    }

    async fn naming_ones(&self) -> Result<Vec<(IncidentId, String, Labels)>, sqlx::Error> {
        let readers = self.readers();
        let mut found = sqlx::query(NAMING_ONES).fetch(&readers);
        let mut firing = Vec::new();
        while let Some(row) = found.try_next().await? {
            let mut labels: Labels = rows::from_json(row.try_get("labels")?)?;
            labels.retain(|name, _| NAMING.contains(&name.as_str()));
            firing.push((rows::incident_id(&row, "incident")?, row.try_get("fingerprint")?, labels));
        }
        Ok(firing)
    }

    /// A page a commit, so that the lease is renewed meanwhile. Until the last one it stands there that none of the marks count.
    async fn mark_anew(&self, words: &Words, digest: &str) -> Result<(), StoreError> {
        let mut after = Some((String::new(), String::new()));
        while let Some(name) = after {
            let (mut marks, last) = self.look_through(words, &name).await.map_err(store_error)?;
            if last.is_none() {
                digest.clone_into(&mut marks.by);
            }
            self.make_marks(&marks).await?;
            after = last;
        }
        Ok(())
    }

    /// What the next page comes to, and its last alert if there are more.
    async fn look_through(
        &self,
        words: &Words,
        (incident, fingerprint): &(String, String),
    ) -> Result<(Marks, Option<(String, String)>), sqlx::Error> {
        let readers = self.readers();
        let mut page = sqlx::query(NEXT).bind(incident).bind(fingerprint).bind(PAGE).fetch(&readers);
        let (mut marks, mut last, mut seen) = (Marks::default(), None, 0);
        while let Some(row) = page.try_next().await? {
            let name: (String, String) = (row.try_get("incident")?, row.try_get("fingerprint")?);
            let may_name = words.may_be_in(&rows::from_json(row.try_get("labels")?)?);
            if row.try_get::<Option<bool>, _>("may_name")? != Some(may_name) {
                marks.marks.push((name.0.clone(), name.1.clone(), may_name));
            }
            last = Some(name);
            seen += 1;
        }
        Ok((marks, last.filter(|_| seen == PAGE)))
    }
}

pub(super) async fn mark(tx: &mut Transaction<'_, Postgres>, Marks { marks, by }: &Marks) -> Result<(), sqlx::Error> {
    if !marks.is_empty() {
        sqlx::query(MARK)
            .bind(column(marks, |(incident, _, _)| incident.as_str()))
            .bind(column(marks, |(_, fingerprint, _)| fingerprint.as_str()))
            .bind(column(marks, |(_, _, may_name)| *may_name))
            .execute(&mut **tx)
            .await?;
    }
    sqlx::query(MARK_BY).bind(by).execute(&mut **tx).await?;
    Ok(())
}
