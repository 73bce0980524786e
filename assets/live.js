// Hears which incident changed, fetches this page again, swaps what differs. Typed text stays.
const root = document.documentElement, $ = id => document.getElementById(id)
const skew = Date.now() - +root.dataset.now, now = () => Date.now() - skew
const STALE = 45e3
let heard = Date.now(), since = null, source, failures = 0, paused = false, asked, keys = localStorage.keys !== 'off', row = -1
root.classList.add('live')
root.classList.toggle('nokeys', !keys)

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
if (zone && zone !== root.dataset.zone && !sessionStorage.zone) {
  sessionStorage.zone = zone
  document.cookie = `reynard_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`
  setTimeout(refresh)
}

const span = ms => {
  const s = Math.max(0, Math.floor(ms / 1000)), d = s / 86400 | 0, h = s / 3600 % 24 | 0, m = s / 60 % 60 | 0
  const two = (a, b) => parseInt(b) ? a + ' ' + b : a
  return d ? two(d + 'd', h + 'h') : h ? two(h + 'h', m + 'm') : m ? two(m + 'm', s % 60 + 's') : s % 60 + 's'
}
const hms = t => new Date(t).toTimeString().slice(0, 8)
const put = (el, text) => { if (el && el.textContent !== text) el.textContent = text }
function tick() {
  const t = now()
  for (const el of document.querySelectorAll('[data-since]')) put(el, span(t - el.dataset.since))
  for (const el of document.querySelectorAll('[data-until]')) put(el, el.dataset.until > t ? 'in ' + span(el.dataset.until - t) : 'now')
  for (const id of ['clock', 'nowclock']) put($(id), hms(t))
  lamp()
}
function lamp() {
  const el = $('lamp'), old = Date.now() - heard > STALE
  const [name, text] = old ? ['stale', 'STALE since ' + hms(heard)]
    : paused ? ['off', 'paused'] : failures ? ['off', 'reconnecting'] : ['on', 'live']
  if (old && !since) say('This page is stale: the server is silent.')
  since = old
  el.className = 'lamp ' + name
  put(el, text)
}
const say = text => put($('say'), text)

const plain = el => el.outerHTML.replace(/_action_id" value="[^"]*/g, '').replace(/(data-(since|until)="\d+">)[^<]*/g, '$1').replace(/(nowclock"[^>]*>)[^<]*|( open=""| sel)/g, '$1')
const FIELDS = 'input:not([type=checkbox]),textarea,select'
const ticked = () => [...document.querySelectorAll('[name=number]:checked')]
// How what has the focus is found again in a fresh page.
const mark = el => el.dataset.key ? `[data-key="${el.dataset.key}"]` : el.href ? `a[href="${CSS.escape(el.getAttribute('href'))}"]` : el.value ? `[value="${CSS.escape(el.value)}"]` : ''
async function refresh() {
  if (paused) return
  try {
    const answer = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'error' })
    if (!answer.ok) return
    heard = Date.now()
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
    // A part came or went, nobody types: take all before swaps empty it.
    const parts = doc => [...doc.querySelectorAll('main [data-live]')].map(el => el.id).join()
    const main = $('main'), typing = [...main.querySelectorAll('textarea')].some(el => el.value) || main.contains(document.activeElement)
    if (!typing && !ticked().length && parts(document) !== parts(page)) {
      const told = main.querySelector('.notice')
      main.replaceChildren(...told ? [told] : [], ...page.getElementById('main').childNodes)
    }
    let later = false
    for (const el of document.querySelectorAll('[data-live]')) {
      const fresh = page.getElementById(el.id)
      if (!fresh || plain(fresh) === plain(el)) continue
      if (el.contains(document.activeElement) && document.activeElement.matches(FIELDS)) { later = true; continue }
      const focus = el.contains(document.activeElement) && mark(document.activeElement)
      for (const old of el.querySelectorAll('details[id]')) { const d = fresh.querySelector('#' + CSS.escape(old.id)); if (d) d.open = old.open }
      for (const box of ticked()) { const same = fresh.querySelector(`[name=number][value="${box.value}"]`); if (same) same.checked = true }
      if (el.id === 'hero') say(fresh.querySelector('.state')?.textContent.trim())
      el.replaceWith(fresh)
      if (focus) fresh.querySelector(focus)?.focus()
    }
    document.title = page.title
    if (later) soon(3000)
    tick()
  } catch {} // the lamp says it
}
const soon = (ms = 150) => { clearTimeout(asked); asked = setTimeout(refresh, ms) }

function listen() {
  source = new EventSource('/api/v1/stream')
  const alive = () => { heard = Date.now(); failures = 0; lamp() }
  source.addEventListener('ping', alive)
  source.addEventListener('change', event => {
    alive()
    const scope = $('main').dataset.scope, about = JSON.parse(event.data).incident
    if (!scope || !about || about === scope) soon()
  })
  source.onopen = () => { if (failures) soon(); alive() }
  source.onerror = () => {
    failures++
    lamp()
    if (source.readyState === 2) { source.close(); setTimeout(listen, Math.min(3e4, 1e3 * 2 ** failures)) }
  }
}
document.addEventListener('visibilitychange', () => {
  source.close()
  if (!document.hidden) { listen(); soon() }
})
listen()
setInterval(tick, 1000)
setInterval(() => { if (failures > 2 && !document.hidden) refresh() }, 15e3)
tick()

const rows = () => [...document.querySelectorAll('[data-row]')]
function move(by) {
  const all = rows()
  if (!all.length) return
  all[row]?.classList.remove('sel')
  row = Math.max(0, Math.min(all.length - 1, row + by))
  all[row].classList.add('sel')
  all[row].querySelector('a')?.focus()
}
const deeds = {
  pause() { paused = !paused; lamp(); if (!paused) soon() },
  keys() { keys = !keys; localStorage.keys = keys ? 'on' : 'off'; root.classList.toggle('nokeys', !keys); names() },
  help() { $('help').showModal() },
}
const close = but => document.querySelectorAll('.menu[open]').forEach(menu => { if (!menu.contains(but)) menu.open = false })
const names = () => put(document.querySelector('[data-do=keys]'), 'Keys: ' + (keys ? 'on' : 'off'))
names()
document.addEventListener('change', event => {
  if ('all' in event.target.dataset) for (const box of document.querySelectorAll('[name=number]')) box.checked = event.target.checked
})
// An undo is offered for ten seconds; the menus and the API do the same later.
setTimeout(() => document.querySelector('.undo')?.remove(), 1e4)
document.addEventListener('click', async event => {
  const copy = navigator.clipboard && event.target.closest('[data-copy]')
  if (copy) {
    event.preventDefault()
    await navigator.clipboard.writeText(await (await fetch(copy.href)).text())
    put(copy, 'Copied')
    say('Copied')
  }
  const deed = event.target.closest('[data-do]')?.dataset.do
  if (deed) deeds[deed]()
  close(event.target)
})
document.addEventListener('keydown', event => {
  const key = event.key
  if (key === 'Escape') return close()
  if (!keys || event.ctrlKey || event.metaKey || event.altKey || event.target.matches(FIELDS)) return
  const act = { '/': () => $('q') ? $('q').focus() : location.assign('/incidents'), '?': deeds.help, l: deeds.pause, c: () => $('text')?.focus(), j: () => move(1), k: () => move(-1) }[key]
  const button = !act && document.querySelector(`main [data-key="${CSS.escape(key)}"]`)
  if (!act && !button) return
  event.preventDefault()
  act ? act() : button.form.requestSubmit(button)
})
