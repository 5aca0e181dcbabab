"""How the dashboard looks: one style sheet, in JupyterLab's own colours, so that it follows a dark theme.

`--piwsl-stage` is the height of curves and molecule. It follows the window, so that knobs, verdict, curves and molecule
are on one screen from 1280×720 on.
"""

from __future__ import annotations

# JupyterLab's frames take about 130 px of a window, the lines of the dashboard about 165 px, an open fold 170 px.
STAGE = "clamp(280px, calc(100vh - 330px), 760px)"
STAGE_WITH_FOLD = "clamp(230px, calc(100vh - 490px), 760px)"
ALONE = "max(280px, calc(100vh - 190px))"
ALONE_WITH_FOLD = "max(230px, calc(100vh - 360px))"
RESTARTED = (
    "The kernel has ended or was restarted, and this dashboard with it: run the cells above again. "
    "Session.load brings a saved session back."
)

CSS = (
    """<style>
.piwsl-dashboard {--piwsl-stage: STAGE; --piwsl-ink: var(--jp-ui-font-color1, #212121);
  --piwsl-rule: var(--jp-border-color2, #bdbdbd); --piwsl-warn: #a65200; --piwsl-error: #b00020;
  --piwsl-ring: #0b57d0; color: var(--piwsl-ink); position: relative;}
body[data-jp-theme-light="false"] .piwsl-dashboard, body.theme-dark .piwsl-dashboard {
  --piwsl-warn: #ffb74d; --piwsl-error: #ff8a80; --piwsl-ring: #8ab4f8;}
body[data-jp-theme-light="false"] .piwsl-dashboard button:disabled,
body.theme-dark .piwsl-dashboard button:disabled {color: #fff;}
.piwsl-dashboard.piwsl-folded-out {--piwsl-stage: STAGE_WITH_FOLD;}
.piwsl-dashboard {--piwsl-below: 128px;}
@media (max-height: 850px) {
  .piwsl-dashboard.piwsl-folded-out {--piwsl-below: 66px;}
  .piwsl-folded-out .piwsl-below {display: none;}
}
.piwsl-moving .piwsl-below, .piwsl-moving .piwsl-sliders {display: none !important;}
.piwsl-dashboard .widget-readout {min-width: 30px; max-width: 72px; width: auto; text-align: right;
  margin: 0 8px 0 6px; flex: 0 0 auto; font-variant-numeric: tabular-nums;}
.piwsl-dashboard .piwsl-knob .widget-readout {width: 47px;}
.piwsl-dashboard .widget-checkbox label, .piwsl-dashboard .widget-label-basic {font-size: 12.5px;}
.piwsl-dashboard .widget-html, .piwsl-dashboard .widget-html-content {min-width: 0; max-width: 100%;}
.piwsl-dashboard .widget-html-content {flex: 1 1 auto; width: 100%; line-height: 1.4;}
.piwsl-dashboard .widget-button, .piwsl-dashboard .widget-toggle-button {padding: 0 9px;}

.piwsl-line {white-space: nowrap; overflow: hidden; text-overflow: ellipsis;}
.piwsl-headline {font-size: 19px; line-height: 27px; height: 27px;}
.piwsl-numbers {font-size: 13px; line-height: 20px; height: 20px;}
.piwsl-headline.piwsl-many, .piwsl-numbers.piwsl-many {white-space: normal; font-size: 14px; line-height: 19px;
  height: 38px; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2;}
.piwsl-numbers.piwsl-many {font-size: 12.5px; line-height: 17px; height: 34px;}
.piwsl-progress {font-size: 12px; line-height: 16px; height: 16px; font-variant-numeric: tabular-nums;}
.piwsl-moment {font-size: 12px; line-height: 18px; height: 18px;}
.piwsl-status {font-size: 13px; line-height: 18px; height: 36px; overflow: hidden; display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 2;}
.piwsl-stored {font-size: 12px; padding: 1px 7px; border-radius: 9px; border: 1px solid currentColor;
  color: var(--piwsl-warn); vertical-align: 2px; white-space: nowrap;}
.piwsl-saved {font-size: 13px; line-height: 20px;}
.piwsl-saved code {user-select: all; background: rgba(128,128,128,.18); padding: 1px 4px; border-radius: 3px;
  color: inherit;}
.piwsl-mark {color: var(--light);}
body[data-jp-theme-light="false"] .piwsl-mark, body.theme-dark .piwsl-mark {color: var(--dark);}
.piwsl-warn {color: var(--piwsl-warn, #a65200);}
.piwsl-error {color: var(--piwsl-error, #b00020);}

.piwsl-pending .widget-label, .piwsl-pending .jupyter-widgets.widget-label {font-weight: 700;
  color: var(--piwsl-warn, #a65200);}
.piwsl-pending .widget-label::before {content: "● ";}
.piwsl-scheduled .widget-label::before {content: "↻ "; color: var(--piwsl-warn, #a65200);}
.piwsl-fold {border: 1px solid var(--piwsl-rule, #bdbdbd); border-radius: 6px; padding: 2px 6px; margin: 2px 0;}
.piwsl-fold-title {font-size: 12px; line-height: 18px; height: 18px; opacity: .85;}
.piwsl-schedule, .piwsl-schedule .widget-html-content {height: 13px; line-height: 13px;
  color: var(--piwsl-warn, #a65200); font-size: 11px; text-align: right;}

.piwsl-scroll {overflow: auto; max-width: 100%; max-height: 240px;}
.piwsl-table {border-collapse: collapse; font-size: 12px; line-height: 1.5; color: inherit;}
.piwsl-table td, .piwsl-table th {padding: 2px 8px; text-align: left; white-space: nowrap;
  border-bottom: 1px solid rgba(128,128,128,.3);}
.piwsl-table td.piwsl-number {text-align: right; font-variant-numeric: tabular-nums;}
.piwsl-table td.piwsl-physics {white-space: normal; min-width: 220px;}

.piwsl-dashboard .noUi-handle:focus, .piwsl-dashboard button:focus-visible,
.piwsl-dashboard select:focus-visible, .piwsl-dashboard input:focus-visible,
.piwsl-dashboard .widget-readout:focus-visible, .piwsl-dashboard [tabindex]:focus-visible {
  outline: 3px solid var(--piwsl-ring) !important; outline-offset: 1px; z-index: 2;}

.piwsl-dashboard.jupyter-widgets-disconnected::before {content: "RESTARTED" !important; display: block;
  font-family: inherit !important; font-size: 14px; font-weight: 600; line-height: 20px; padding: 6px 10px;
  margin-bottom: 4px; border-radius: 4px; background: #ffe9b8; color: #3d2b00; text-align: left; width: auto;}

.piwsl-dashboard .jupyter-widgets-disconnected::before,
.piwsl-dashboard.jupyter-widgets-disconnected .piwsl-plot-words {display: none !important;}
.piwsl-dashboard.jupyter-widgets-disconnected > * {opacity: .55; pointer-events: none;}

.piwsl-alone-button {width: auto !important;}
.piwsl-alone {position: fixed !important; inset: 0 !important; width: 100vw !important; height: 100vh !important;
  max-width: none; max-height: none; margin: 0 !important; padding: 8px 14px !important; border: 0; z-index: 10000;
  box-sizing: border-box; overflow: auto !important; background: var(--jp-layout-color0, #fff) !important;
  --piwsl-stage: ALONE !important;}
.piwsl-alone.piwsl-folded-out {--piwsl-stage: ALONE_WITH_FOLD !important;}
</style>""".replace("STAGE_WITH_FOLD", STAGE_WITH_FOLD)
    .replace("ALONE_WITH_FOLD", ALONE_WITH_FOLD)
    .replace("STAGE", STAGE)
    .replace("ALONE", ALONE)
    .replace("RESTARTED", RESTARTED)
)
