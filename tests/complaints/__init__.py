"""What users of other tools complain about, and the test that holds it here.

A deposit or a withdrawal in kind counted as profit or loss:
    tests/complaints/test_ledgers_and_money.py::test_a_deposit_in_kind_is_no_profit
    tests/complaints/test_ledgers_and_money.py::test_a_withdrawal_in_kind_is_no_loss
A move between one's own accounts counted as a flow or a sale:
    tests/complaints/test_ledgers_and_money.py::test_moving_shares_between_ones_own_accounts_is_neither_flow_nor_gain
    tests/ledger/test_in_kind.py::test_lots_moved_to_another_account_keep_cost_and_day
Pence taken for pounds:
    tests/complaints/test_ledgers_and_money.py::test_pence_are_not_pounds
    tests/ledger/test_in_kind.py::test_pence_are_hundredths_of_a_pound
An old purchase converted at today's rate:
    tests/complaints/test_ledgers_and_money.py::test_an_old_purchase_keeps_the_rate_of_its_day
A missing exchange rate counted as 1:
    tests/complaints/test_ledgers_and_money.py::test_a_missing_rate_is_not_one
    tests/analytics/test_returns.py::test_missing_fx_is_never_one
A dividend converted on the wrong day, or not counted between ex-date and pay date:
    tests/complaints/test_ledgers_and_money.py::test_a_dividend_is_converted_on_its_pay_date
    tests/ledger/test_booking.py::test_a_dividend_is_a_receivable_from_its_ex_date
A split that looks like a loss, or rewrites history:
    tests/complaints/test_ledgers_and_money.py::test_a_split_changes_neither_value_nor_history
    tests/ledger/test_booking.py::test_a_split_keeps_cost_and_acquisition_day
A missing price counted as a total loss, or as the cost:
    tests/complaints/test_ledgers_and_money.py::test_a_missing_price_is_a_gap_and_no_total_loss
    tests/analytics/test_returns.py::test_a_day_without_a_price_has_no_value_and_nothing_is_invented
A realised gain that nobody can trace to its lots:
    tests/complaints/test_ledgers_and_money.py::test_every_realised_gain_names_its_lot
Average cost missing, or wrong after the last unit is sold:
    tests/ledger/test_booking.py::test_average_cost_merges_lots_and_empties_exactly
    tests/ledger/test_booking.py::test_gain_depends_on_the_booking_method
A percentage that does not say how much money it was, nor from what:
    tests/analytics/test_causes.py::test_causes_add_up_to_the_gain_and_each_is_what_was_booked
    tests/analytics/test_causes.py::test_realised_counts_at_the_rate_of_the_sale_unrealised_at_the_end_and_currency_on_the_cost
An internal rate of return that is nonsense, for a few days or where several solve it:
    tests/analytics/test_money_weighted.py::test_below_a_year_it_is_not_annualised
    tests/analytics/test_money_weighted.py::test_a_few_days_lose_no_digits
    tests/analytics/test_money_weighted.py::test_no_or_several_roots_are_refused
Numbers of the past that move, and nobody says why:
    tests/services_tests/test_provenance.py::test_a_stored_execution_is_recomputed_after_its_pack_was_superseded_and_its_branch_rewritten
    tests/services_tests/test_provenance.py::test_a_restated_price_is_named_and_explains_the_figures
"""
