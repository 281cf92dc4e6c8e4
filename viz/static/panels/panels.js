// @ts-check
/**
 * The list of panels, in the order of the tabs: a new one is a module in this folder and a line
 * here. Their names are the `data-panel` of their elements, and what a view record or a lesson
 * opens; viz/assets.py reads them from here too.
 */

import { createAttentionPanel } from "./attention.js";
import { createBudgetPanel } from "./budget.js";
import { createComparePanel } from "./compare.js";
import { createCostPanel } from "./cost.js";
import { createDiagnosisPanel } from "./diagnosis.js";
import { createMatrixMapPanel } from "./matrixmap.js";
import { createMetricsPanel } from "./metrics.js";
import { createSourcesPanel } from "./sources.js";

export const PANELS = {
  diagnosis: createDiagnosisPanel,
  metrics: createMetricsPanel,
  compare: createComparePanel,
  attention: createAttentionPanel,
  "matrix-map": createMatrixMapPanel,
  cost: createCostPanel,
  budget: createBudgetPanel,
  sources: createSourcesPanel,
};
