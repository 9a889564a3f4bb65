'use strict';
/* Redraws the attention of one page: branch, layer, head and query event, without a network. */
const data = JSON.parse(document.getElementById('data').textContent);
const chosen = { branch: data.branch, position: null };
const branchButtons = document.querySelectorAll('button[data-branch]');
const selected = id => document.getElementById(id).value;

function drawAttention(row, share, weight) {
  const cell = row.querySelector('.attention');
  const seen = weight !== null;
  cell.querySelector('.track').hidden = !seen;
  cell.querySelector('.bar').style.setProperty('--share', seen ? share.toFixed(3) : 0);
  cell.querySelector('.value').textContent = seen ? weight.toFixed(2) : '\u2013';
}

function draw() {
  const layer = +selected('layer'), head = +selected('head'), of = selected('of');
  const branch = data.branches[chosen.branch];
  const newest = branch.positions.length - 1;
  const inBranch = branch.positions.includes(chosen.position);
  const query = inBranch ? branch.positions.indexOf(chosen.position) : newest;
  const weights = newest < 0 ? [] : branch.weights[layer][head][query];
  const widest = Math.max(0.25, ...weights);
  for (const button of branchButtons)
    button.setAttribute('aria-pressed', button.dataset.branch === chosen.branch);
  for (const explained of document.querySelectorAll('.explained')) {
    explained.hidden = explained.dataset.of !== of;
    for (const name of explained.querySelectorAll('.branch-name')) name.textContent = chosen.branch;
    for (const row of explained.querySelectorAll('tr[data-position]')) {
      const key = branch.positions.indexOf(+row.dataset.position);
      const seen = key >= 0 && key <= query;
      drawAttention(row, seen ? weights[key] / widest : 0, seen ? weights[key] : null);
      row.classList.toggle('query', key >= 0 && key === query);
    }
    explained.querySelector('.trust').outerHTML =
      query === newest ? branch.trust[explained.dataset.of][layer][head] : data.indirect;
  }
}

function choose(position) {
  chosen.position = position;
  /* An event outside the chosen branch: show the last branch that has it. */
  if (!data.branches[chosen.branch].positions.includes(position)) {
    const names = Object.keys(data.branches).reverse();
    const other = names.find(name => data.branches[name].positions.includes(position));
    chosen.branch = other ?? chosen.branch;
  }
  draw();
}

for (const button of branchButtons)
  button.addEventListener('click', () => {
    chosen.branch = button.dataset.branch;
    chosen.position = null;
    draw();
  });
for (const title of document.querySelectorAll('button.ask'))
  title.addEventListener('click', () =>
    choose(+title.closest('tr[data-position]').dataset.position));
for (const id of ['layer', 'head', 'of'])
  document.getElementById(id).addEventListener('change', draw);
draw();
