"""How many nodes a draft may have: costs, and where a tree is cut. No torch.

constants.py          all tuned numbers, and what was measured for each
cost_curve.py         what a step costs by its nodes, fixed or learned
budget.py             what every budget offers
template_budget.py    chooses a template for each step
grown_tree_budget.py  cuts the tree that a drafter grows
"""
